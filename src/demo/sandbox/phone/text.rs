//! The life of a text message: sent, delivered or not, read, and perhaps answered. What people write goes to the address
//! that the number they write to is set up with, and the words that come back go to them.

use std::sync::Arc;

use super::super::{Sighting, lock};
use super::{Callback, Network, Text, Written, twiml};
use crate::wire::twilio::Form;

/// Carries a text message to its person, who may write back.
pub(super) fn deliver(network: &Arc<Network>, text: Text, callback: Option<Callback>) {
    let shared = network.clone();
    let lost = network.undelivered.next().is_some();
    let reply = if lost { None } else { network.replies.next().flatten() };
    lock(&network.tasks).spawn(async move {
        let mut before: Option<Form> = None;
        for status in ["sent", if lost { "undelivered" } else { "delivered" }] {
            tokio::time::sleep(shared.settings.ring).await;
            if let Some(t) = lock(&shared.texts).iter_mut().find(|t| t.sid == text.sid) {
                status.clone_into(&mut t.status);
            }
            if status == "delivered" {
                shared.stage.sightings.saw(Sighting::Sms { to: text.to.clone(), body: text.body.clone() });
            }
            let Some(callback) = &callback else { continue };
            let news: Form = [
                ("MessageSid", text.sid.as_str()),
                ("MessageStatus", status),
                ("To", &text.to),
                ("From", &text.from),
                ("AccountSid", &shared.settings.account_sid),
            ]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into();
            for form in shared.copies(&news, before.as_ref()) {
                shared.report(callback, &form).await;
            }
            before = Some(news);
        }
        if let Some(body) = reply {
            tokio::time::sleep(shared.settings.ring).await;
            write(&shared, &text.to, &text.from, &body).await;
        }
    });
}

/// A person writes to one of our numbers.
pub(super) async fn write(network: &Network, from: &str, to: &str, body: &str) {
    let Some(address) = lock(&network.inbound).clone() else { return };
    let sid = {
        let mut written = lock(&network.written);
        let sid = format!("SM{:032x}", (1_u64 << 32) + u64::try_from(written.len()).unwrap_or(u64::MAX));
        let new =
            Written { sid: sid.clone(), from: from.to_owned(), body: body.to_owned(), status: None, answer: None };
        written.push(new);
        sid
    };
    let form: Form = [
        ("MessageSid", sid.as_str()),
        ("From", from),
        ("To", to),
        ("Body", body),
        ("NumMedia", "0"),
        ("AccountSid", &network.settings.account_sid),
    ]
    .map(|(k, v)| (k.to_owned(), v.to_owned()))
    .into();
    let mut answer = (None, None);
    if let Ok(response) = network.send(&address, true, &form).await {
        let status = response.status().as_u16();
        let words = response.text().await.ok().and_then(|text| twiml::message(&text).ok().flatten());
        answer = (Some(status), words);
    }
    if let Some(words) = &answer.1 {
        network.stage.sightings.saw(Sighting::Sms { to: from.to_owned(), body: words.clone() });
    }
    if let Some(written) = lock(&network.written).iter_mut().find(|w| w.sid == sid) {
        (written.status, written.answer) = answer;
    }
}
