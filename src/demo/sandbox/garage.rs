//! A workshop without an API: it reads the mails that the mail server keeps for its mailbox, opens the link in them on a
//! phone, and taps.

use super::smtp::{Mail, MailServer};
use super::web::http_client;
use crate::demo::Error;

/// The workshop.
#[derive(Debug)]
pub struct Garage {
    mailbox: String,
    http: reqwest::Client,
}

impl Garage {
    /// Reads what comes to `mailbox`.
    ///
    /// # Errors
    /// No HTTP client can be made.
    pub fn new(mailbox: &str) -> Result<Self, Error> {
        Ok(Self { mailbox: mailbox.to_owned(), http: http_client()? })
    }

    /// Its mails, oldest first.
    #[must_use]
    pub fn mails(&self, server: &MailServer) -> Vec<Mail> {
        server.accepted().into_iter().filter(|mail| mail.to.contains(&self.mailbox)).collect()
    }

    /// Opens the page behind the link in a mail, as it then is.
    ///
    /// # Errors
    /// There is no link, or nobody answers.
    pub async fn look(&self, mail: &Mail) -> Result<String, Error> {
        self.ask(self.http.get(link(mail)?)).await
    }

    /// Taps the button of the page whose `answer` this is, and reads what the page then says.
    ///
    /// # Errors
    /// There is no link, or nobody answers.
    pub async fn tap(&self, mail: &Mail, answer: &str) -> Result<String, Error> {
        let form = format!("answer={answer}");
        let request = self.http.post(link(mail)?).header("content-type", "application/x-www-form-urlencoded");
        self.ask(request.body(form)).await
    }

    async fn ask(&self, request: reqwest::RequestBuilder) -> Result<String, Error> {
        let failed = |e: reqwest::Error| Error::Sandbox(e.to_string());
        request.send().await.map_err(failed)?.error_for_status().map_err(failed)?.text().await.map_err(failed)
    }
}

/// The first link to a page of ours.
fn link(mail: &Mail) -> Result<String, Error> {
    let text = mail.text();
    let mut words = text.split_whitespace();
    let found = words.find(|word| word.starts_with("http") && word.contains("/l/"));
    found.map(str::to_owned).ok_or_else(|| Error::Sandbox("there is no link in the mail".to_owned()))
}
