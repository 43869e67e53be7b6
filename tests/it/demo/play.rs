//! A demo whose daemon does not start says why.

use std::sync::Arc;

use forewarn::demo::{Error, Look, Options, Screen, play};

#[tokio::test(flavor = "multi_thread")]
async fn play_says_why_the_daemon_did_not_start() {
    let options = |program: &str| Options {
        program: program.into(),
        cars: 2,
        seed: 1,
        at_least: None,
        keep: false,
        clock: Arc::new(super::clock),
    };
    let screen = Screen::new(Look { began_at: super::clock(), colour: false, width: None }, true, false);
    for (program, part) in [("/bin/false", "the daemon ended (exit status: 1)"), ("/no/such/program", "cannot start")] {
        let ended = play(&options(program), &screen, std::future::pending()).await;
        let Err(Error::Daemon(why)) = ended else { panic!("{program}: {ended:?}") };
        assert!(why.contains(part), "{program}: {why}");
    }
}
