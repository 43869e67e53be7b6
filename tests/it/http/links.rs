//! The routes of one-time links: who is let in, what looks and what acts, and what the browser is forbidden.

use forewarn::desk::{Input, LinkPage, Reply};
use forewarn::domain::{Link, PageKind};
use forewarn::wire::link::Key;

use super::world::{LINK_SECRET, Mood, Options, World, effect};

fn link() -> Link {
    Link { effect: effect(), kind: PageKind::Answer }
}

fn path(key: &str) -> String {
    format!("/l/{}", Key::parse(key).unwrap().token(&link()))
}

#[tokio::test]
async fn a_page_is_shown_to_whoever_has_its_link_and_looking_tells_the_desk_nothing() {
    let world = World::new().await;
    for _ in 0..3 {
        let answer = world.get(&path(LINK_SECRET)).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-language"), "de");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("cache-control"), "no-store");
        assert!(header("x-robots-tag").contains("noindex"));
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.text().await.unwrap(), "<p>page of answer</p>");
    }
    let head = world.client.head(format!("{}{}", world.url, path(LINK_SECRET))).send().await.unwrap();
    assert_eq!(head.status().as_u16(), 200);
    assert_eq!(world.desk.told(), [], "looking is no input");
}

#[tokio::test]
async fn a_form_is_told_to_the_desk_and_answered_with_the_page() {
    let world = World::new().await;
    let form = "answer=1&text=a%20b%2Bc+d&x=%00";
    let answer = world.post(&path(LINK_SECRET)).body(form).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(answer.text().await.unwrap(), "<p>page of answer</p>");
    let form = [("answer", "1"), ("text", "a b+c d"), ("x", "\0")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    assert_eq!(world.desk.told(), [Input::Link { link: link(), form }]);
    world.desk.reply_with(Reply::NotFound);
    assert_eq!(world.post(&path(LINK_SECRET)).body("answer=1").send().await.unwrap().status().as_u16(), 404);
    world.desk.reply_with(Reply::Refused("no".into()));
    assert_eq!(world.post(&path(LINK_SECRET)).body("answer=7").send().await.unwrap().status().as_u16(), 200);
}

#[tokio::test]
async fn a_link_that_we_did_not_sign_never_reaches_the_desk() {
    let world = World::new().await;
    let good = path(LINK_SECRET);
    let (head, tail) = good.split_at(10);
    let other = if tail.starts_with('A') { "B" } else { "A" };
    for bad in [path("another secret of links"), format!("{head}{other}{}", &tail[1..]), "/l/x".into(), "/l/%00".into()]
    {
        for request in [world.get(&bad), world.post(&bad).body("answer=1")] {
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 404, "{bad}");
            let text = answer.text().await.unwrap();
            assert!(text.contains("Dieser Link") && text.contains("<html"), "a page for a person: {text}");
        }
    }
    assert_eq!(world.desk.told(), []);
}

#[tokio::test]
async fn forms_have_limits_and_a_busy_desk_is_said_in_words() {
    let world = World::new().await;
    let long = format!("answer=1&text={}", "a".repeat(5_000));
    world.post(&path(LINK_SECRET)).body(long).send().await.unwrap();
    let many: String = (0..100).map(|i| format!("f{i:03}=x&")).collect();
    world.post(&path(LINK_SECRET)).body(many).send().await.unwrap();
    let sizes: Vec<usize> = world
        .desk
        .told()
        .iter()
        .map(|input| match input {
            Input::Link { form, .. } => form.len(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(sizes, [1, 16], "the field that is too long, and all fields beyond the limit, are left out");
    let huge = world.post(&path(LINK_SECRET)).body("a".repeat(70_000)).send().await.unwrap();
    assert_eq!(huge.status().as_u16(), 413);

    let world = World::with(Options { desk: false, ..Options::default() }).await;
    for request in [world.get(&path(LINK_SECRET)), world.post(&path(LINK_SECRET)).body("answer=1")] {
        let answer = request.send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (503, "5"));
        assert!(answer.text().await.unwrap().contains("Einen Moment"));
    }
}

#[tokio::test]
async fn the_style_of_the_pages_is_a_file_of_ours() {
    let world = World::new().await;
    world.desk.set_mood(Mood::Answers);
    let style = world.get("/l/page.css").send().await.unwrap();
    assert_eq!(style.headers()["content-type"], "text/css; charset=utf-8");
    assert!(style.headers()["cache-control"].to_str().unwrap().contains("max-age"));
    assert!(style.text().await.unwrap().contains("prefers-color-scheme"));
}

/// What the desk of these tests shows.
pub(super) fn shown(link: Link) -> LinkPage {
    LinkPage { locale: "de".into(), html: format!("<p>page of {}</p>", link.kind.name()) }
}
