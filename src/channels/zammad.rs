//! Tickets in Zammad.
//!
//! Its API has no idempotency. A ticket carries the case id in the attribute `case_ref` (which an admin makes once), and
//! each article of ours carries its effect id in the subject, so a lost answer is found again by searching: for the
//! ticket, and among the articles of the ticket. The search index lags by some seconds; that the desk asks twice, the
//! second time well after, is the desk's timing. One `Reconcile` is one search.

use reqwest::RequestBuilder;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};

use super::http::{Http, HttpSettings, json};
use super::settings::ZammadSettings;
use super::{Attempt, Error, Site, wrong_kind};
use crate::domain::{Order, OrderKind, Outcome, Span, TicketWork, Work};
use crate::runtime::Channel;
use crate::wire::zammad::{
    Article, ArticleAnswer, NewArticle, NewTicket, SearchAnswer, TicketAnswer, UpdateTicket, subject,
};

/// A Zammad.
pub(super) struct Zammad {
    http: Http,
    authorization: HeaderValue,
    group: Option<String>,
    customer: Option<String>,
}

impl Zammad {
    pub(super) fn new(s: &ZammadSettings, site: &Site<'_>) -> Result<Self, Error> {
        let http = HttpSettings {
            url: &s.url,
            ca_file: s.ca_file.as_deref(),
            allow_private: s.allow_private == Some(true),
            insecure: s.insecure == Some(true),
            timeout: s.timeout.unwrap_or(Span::from_secs(20)),
        };
        let token = site.secret("token", s.token.as_ref(), s.token_file.as_deref())?;
        Ok(Self {
            http: Http::new(&http, site)?,
            authorization: authorization(&token).ok_or_else(|| site.error("token", "cannot stand in a header"))?,
            group: s.group.clone(),
            customer: s.customer.clone(),
        })
    }

    async fn run(&self, order: Order) -> Outcome {
        let Work::Ticket(work) = &order.work else { return wrong_kind("tickets") };
        match (order.kind, work) {
            (OrderKind::Send, TicketWork::Create { .. }) => self.create(&order, work).await,
            (OrderKind::Send, TicketWork::Note { ticket, body, reopens: false }) => {
                self.note(&order, ticket, body).await
            }
            (OrderKind::Send, TicketWork::Note { ticket, body, reopens: true }) => {
                self.update(ticket, "open", article(&order, "Opened again", body)).await
            }
            (OrderKind::Send, TicketWork::Close { ticket, body }) => {
                self.update(ticket, "closed", article(&order, "Closed", body)).await
            }
            (OrderKind::Reconcile, TicketWork::Create { .. }) => self.find_ticket(&order).await,
            (OrderKind::Reconcile, TicketWork::Note { ticket, .. } | TicketWork::Close { ticket, .. }) => {
                self.find_article(&order, ticket).await
            }
        }
    }

    async fn create(&self, order: &Order, work: &TicketWork) -> Outcome {
        let TicketWork::Create { title, body, fields, customer } = work else { return wrong_kind("tickets") };
        let mut fields = fields.clone();
        if let Some(group) = &self.group {
            fields.entry("group".into()).or_insert_with(|| group.clone());
        }
        // These are ours to set; a playbook that names them would make the JSON say each twice.
        for ours in ["title", "customer_id", "case_ref", "article"] {
            fields.remove(ours);
        }
        let mailbox = customer.as_ref().map(|(mail, _)| mail).or(self.customer.as_ref());
        let ticket = NewTicket {
            title: title.clone(),
            customer_id: mailbox.map(|mail| format!("guess:{mail}")),
            case_ref: order.case.to_string(),
            article: Article::note(subject("Opened by forewarn", &order.effect), body.clone()),
            fields,
        };
        let request = self.signed(self.http.post(self.http.at(&["api", "v1", "tickets"])).json(&ticket));
        self.http.send(request).await.outcome(|body| json::<TicketAnswer>(body).map(|t| t.id.to_string()))
    }

    async fn note(&self, order: &Order, ticket: &str, body: &str) -> Outcome {
        let Ok(ticket_id) = ticket.parse() else { return not_a_ticket(ticket) };
        let article = article(order, "Note", body);
        let url = self.http.at(&["api", "v1", "ticket_articles"]);
        let request = self.signed(self.http.post(url).json(&NewArticle { ticket_id, article }));
        self.http.send(request).await.outcome(|body| json::<ArticleAnswer>(body).map(|a| a.id.to_string()))
    }

    async fn update(&self, ticket: &str, state: &str, article: Article) -> Outcome {
        if ticket.parse::<u64>().is_err() {
            return not_a_ticket(ticket);
        }
        let url = self.http.at(&["api", "v1", "tickets", ticket]);
        let request = self.signed(self.http.put(url).json(&UpdateTicket { state: state.into(), article }));
        self.http.send(request).await.outcome(|body| json::<TicketAnswer>(body).map(|t| t.id.to_string()))
    }

    async fn find_ticket(&self, order: &Order) -> Outcome {
        let url = self.http.at(&["api", "v1", "tickets", "search"]);
        let query = format!("case_ref:\"{}\"", order.case);
        let request = self.signed(self.http.get(url).query(&[("query", query.as_str()), ("limit", "10")]));
        let found: SearchAnswer = match self.http.send(request).await.answer() {
            Ok(found) => found,
            Err(unknown) => return unknown,
        };
        if found.tickets.len() > 1 {
            tracing::warn!(case = %order.case, tickets = ?found.tickets, "several tickets for one case; the oldest is kept");
        }
        match found.tickets.iter().min() {
            Some(id) => Outcome::Accepted { provider_ref: id.to_string() },
            None => Outcome::NotFound,
        }
    }

    async fn find_article(&self, order: &Order, ticket: &str) -> Outcome {
        let url = self.http.at(&["api", "v1", "ticket_articles", "by_ticket", ticket]);
        let articles: Vec<ArticleAnswer> = match self.http.send(self.signed(self.http.get(url))).await.answer() {
            Ok(articles) => articles,
            Err(unknown) => return unknown,
        };
        let id = order.effect.to_string();
        match articles.iter().find(|a| a.subject.as_ref().is_some_and(|s| s.contains(&id))) {
            Some(article) => Outcome::Accepted { provider_ref: article.id.to_string() },
            None => Outcome::NotFound,
        }
    }

    fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        request.header(AUTHORIZATION, self.authorization.clone())
    }
}

impl Channel for Zammad {
    fn attempt(&self, order: Order) -> Attempt<'_> {
        Box::pin(self.run(order))
    }
}

fn article(order: &Order, what: &str, body: &str) -> Article {
    Article::note(subject(what, &order.effect), body.to_owned())
}

fn authorization(token: &SecretString) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Token token={}", token.expose_secret())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn not_a_ticket(ticket: &str) -> Outcome {
    Outcome::Rejected { reason: format!("'{ticket}' is not a ticket number of Zammad") }
}
