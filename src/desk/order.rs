//! Building an order from ids, with the present truth. Names and addresses appear here and in the order, nowhere else.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::change::Change;
use super::facts::{Reader, context};
use super::rows::{CaseRow, EffectRow, JobRow, PageRow, Target};
use super::{Person, book, bundle, course, speech, storm, survey, talk};
use crate::domain::{
    AppWork, CallWork, Chart, CommandWork, Customer, DispatchWork, EffectId, EndpointKind, MailWork, Order, OrderKind,
    PageKind, Purpose, Rate, SmsWork, Span, TicketWork, WebhookWork, Work,
};
use crate::outbox::{Ask, Kind};
use crate::playbook::{Part, Verb};

/// The order of a claimed effect.
///
/// # Errors
/// For people: why it cannot be made (a text needs a fact that the case does not have, an address is gone).
pub(super) fn build(change: &Change<'_>, id: EffectId, row: &EffectRow, ask: Ask) -> Result<Order, String> {
    let case = change.get::<CaseRow>(&row.case).ok_or("its case is gone")?;
    let carried = bundle::carried(change, id).into_iter().map(|(_, row)| row).collect();
    let maker = Maker { change, id, row, case: &case, carried };
    let work = match row.delivery.kind {
        Kind::Call => Work::Call(CallWork { to: maker.address()?, ring: row.delivery.ring }),
        Kind::Sms => maker.sms()?,
        Kind::Mail if book::is_request(change, id) => maker.request()?,
        Kind::Mail => maker.mail()?,
        Kind::TicketCreate => Work::Ticket(maker.ticket()?),
        Kind::TicketNote => Work::Ticket(maker.note()?),
        Kind::TicketClose => Work::Ticket(TicketWork::Close { ticket: maker.about()?, body: maker.text() }),
        Kind::DispatchRequest => {
            let job = change.get::<JobRow>(&id).ok_or("its job is gone")?;
            let body = change.config.keys.open(&job.body).ok_or("what it said of the customer has been erased")?;
            Work::Dispatch(DispatchWork::Request(Box::new(body)))
        }
        Kind::DispatchCancel => Work::Dispatch(DispatchWork::Cancel { job: maker.about()? }),
        Kind::DispatchStatus => Work::Dispatch(DispatchWork::Status { job: maker.about()? }),
        Kind::Command => maker.command()?,
        Kind::Webhook => maker.webhook()?,
        Kind::BookCreate | Kind::BookCancel if book::is_letter(change, id) => maker.request()?,
        Kind::BookSearch | Kind::BookHold | Kind::BookCreate | Kind::BookCancel | Kind::BookStatus => {
            Work::Book(book::work(change, id, row)?)
        }
        Kind::AppPush => maker.app()?,
    };
    Ok(Order {
        effect: id,
        attempt: row.delivery.attempt,
        case: row.case,
        adapter: row.adapter.clone(),
        kind: if ask == Ask::Send { OrderKind::Send } else { OrderKind::Reconcile },
        first_sent_at: row.delivery.first_sent_at.unwrap_or(change.now),
        rates: rates(change, row, ask),
        work,
    })
}

/// What its provider takes a second, and what the storm allows; those of an hour and a day have time.
fn rates(change: &Change<'_>, row: &EffectRow, ask: Ask) -> Vec<(String, Rate)> {
    let provider = change.config.providers.get(&row.adapter).and_then(|p| p.per_second);
    let own = provider.map(|max| (row.adapter.to_string(), Rate::per_second(max)));
    let of_storm = || storm::rate(change, row).filter(|_| ask == Ask::Send);
    own.into_iter().chain(of_storm()).collect()
}

/// The customer of a contact.
pub(super) fn customer<'a>(change: &Change<'a>, row: &EffectRow) -> Option<&'a Customer> {
    match &row.target {
        Target::Customer { customer, .. } => change.config.registry.customers.get(customer),
        _ => None,
    }
}

/// The person of a page.
pub(super) fn person<'a>(change: &Change<'a>, row: &EffectRow) -> Option<&'a Person> {
    match &row.target {
        Target::Person { queue, index } => change.config.queues.get(queue)?.get(usize::try_from(*index).ok()?),
        _ => None,
    }
}

/// Who reads what is sent to the target of `row`.
fn reader<'a>(change: &Change<'a>, row: &EffectRow) -> Reader<'a> {
    customer(change, row).map_or(Reader::Staff { zone: "UTC" }, Reader::Customer)
}

/// What a text to the target of `row` may say.
pub(super) fn facts_for(change: &Change<'_>, row: &EffectRow, case: &CaseRow, written: bool) -> Json {
    let mut facts = context(change, row.case, case, &reader(change, row), written);
    if let Target::Person { queue, .. } = &row.target {
        let page = change.get::<PageRow>(&(row.case, queue.clone()));
        facts["page"] = json!({ "queue": queue.as_str(), "reason": page.map(|p| p.reason).unwrap_or_default() });
    }
    facts
}

/// The language of whoever gets it.
pub(super) fn locale(change: &Change<'_>, row: &EffectRow) -> String {
    let customer = customer(change, row).map(|c| c.locale.to_string());
    customer.or_else(|| person(change, row).and_then(|p| p.locale.clone())).unwrap_or_else(|| "en".to_owned())
}

struct Maker<'a, 'b> {
    change: &'a Change<'b>,
    id: EffectId,
    row: &'a EffectRow,
    case: &'a CaseRow,
    /// What the same message tells of other cases.
    carried: Vec<EffectRow>,
}

/// Names and texts of what a mail has attached, and how important it is.
type Extras = (Vec<(String, String)>, Option<String>);

impl Maker<'_, '_> {
    fn address(&self) -> Result<String, String> {
        if let Some(person) = person(self.change, self.row) {
            let address = if self.row.delivery.kind == Kind::Mail { &person.mail } else { &person.call };
            return address.clone().ok_or_else(|| "the person cannot be reached this way any more".to_owned());
        }
        let Target::Customer { endpoint, .. } = &self.row.target else { return Err("it goes to nobody".to_owned()) };
        let customer = customer(self.change, self.row).ok_or("the customer is gone")?;
        let endpoint = customer.endpoints.iter().find(|e| e.id == *endpoint).ok_or("the endpoint is gone")?;
        Ok(endpoint.address.to_string())
    }

    fn script(&self) -> Result<&str, String> {
        if !self.carried.is_empty() {
            return Ok(bundle::SCRIPT);
        }
        self.row.script.as_ref().map(|s| s.as_str()).ok_or_else(|| "it has no text".to_owned())
    }

    fn render(&self, part: Part, facts: &Json) -> Result<(String, String), String> {
        let script = self.script()?;
        let workshop = book::reader(self.change, self.id).map(|w| w.locale.clone());
        let locale = workshop.unwrap_or_else(|| locale(self.change, self.row));
        let rendered = self.change.config.messages.render(script, part, &locale, facts);
        rendered.map_err(|e| format!("the text {script}.{}: {e}", part.suffix()))
    }

    fn facts(&self, written: bool) -> Json {
        let mut facts = facts_for(self.change, self.row, self.case, written);
        let customer = customer(self.change, self.row);
        let workshop = book::reader(self.change, self.id).is_some();
        if let (true, Some(links)) = (customer.is_some() || workshop, super::link::links(self.change, self.id)) {
            facts["link"] = links;
        }
        if !self.carried.is_empty() {
            facts["items"] = bundle::items(self.change, std::iter::once(self.row).chain(&self.carried));
        }
        let reader = customer.map_or(Reader::Staff { zone: "UTC" }, Reader::Customer);
        if let Some(booking) = book::letter_facts(self.change, self.id, (&reader.zone(), reader.clock())) {
            facts["booking"] = booking;
        }
        if workshop {
            facts["request"] = book::request_facts(self.change, self.id, true);
        }
        facts
    }

    fn sms(&self) -> Result<Work, String> {
        let (locale, mut body) = self.render(Part::Sms, &self.facts(true))?;
        if customer(self.change, self.row).is_some() && self.row.delivery.purpose != Purpose::Safety {
            body = format!("{body} {}", speech::short(self.change, "opt-out-hint", Part::Sms, &locale).1);
        }
        Ok(Work::Sms(SmsWork { to: self.address()?, body, validity: self.validity() }))
    }

    fn mail(&self) -> Result<Work, String> {
        let mut facts = self.facts(true);
        let unsubscribe = self.unsubscribe();
        if let Some((url, words)) = &unsubscribe {
            facts["opt_out"] = json!({ "url": url, "text": words });
        }
        let drawn = self.chart();
        facts["chart"] = drawn.as_ref().map_or(Json::Null, |(_, said)| said.clone());
        let (_, subject) = self.render(Part::Subject, &facts)?;
        let (locale, mut text) = self.render(Part::Text, &facts)?;
        if let Some((url, words)) = &unsubscribe {
            let _ = write!(text, "\n\n{words}: {url}");
        }
        let (_, html) = self.render(Part::Html, &facts)?;
        let person = person(self.change, self.row).and_then(|p| p.name.clone());
        let to_name = customer(self.change, self.row).map(|c| c.name.to_string()).or(person).unwrap_or_default();
        let (attachments, importance) = self.extras(&facts)?;
        let invitation = book::invitation(self.change, self.id, &subject).map(Box::new);
        Ok(Work::Mail(MailWork {
            invitation,
            to_name,
            to: self.address()?,
            subject,
            // A picture that the text does not show would be an attachment without a word.
            chart: drawn.map(|(chart, _)| Box::new(chart)).filter(|chart| html.contains(&format!("cid:{}", chart.id))),
            text,
            html,
            locale,
            purpose: self.row.delivery.purpose,
            importance,
            attachments,
            unsubscribe: unsubscribe.map(|(url, _)| url),
            reply_to: self.reply_to(),
            comes_back_to: self.comes_back_to(),
        }))
    }

    /// How the fault came.
    fn chart(&self) -> Option<(Chart, Json)> {
        let (reader, locale) = (reader(self.change, self.row), locale(self.change, self.row));
        course::chart(self.change, self.id, self.row.case, self.case, &reader, &locale)
    }

    /// What the mails of its steps have attached, in the language of the reader, and how important they are.
    fn extras(&self, facts: &Json) -> Result<Extras, String> {
        let (mut attachments, mut importance) = self.extras_of(self.row, self.case, facts)?;
        for row in &self.carried {
            let case = self.change.get::<CaseRow>(&row.case).ok_or("its case is gone")?;
            let more = self.extras_of(row, &case, &facts_for(self.change, row, &case, true))?;
            let new: Vec<_> = more.0.into_iter().filter(|a| !attachments.contains(a)).collect();
            attachments.extend(new);
            importance = importance.or(more.1);
        }
        Ok((attachments, importance))
    }

    fn extras_of(&self, row: &EffectRow, case: &CaseRow, facts: &Json) -> Result<Extras, String> {
        let plan = self.change.plan(case);
        let Some(Verb::Reach(reach)) = plan.as_ref().and_then(|p| p.step(&row.step)).map(|s| &s.verb) else {
            return Ok((Vec::new(), None));
        };
        let wanted = locale(self.change, row);
        let mut attachments = Vec::new();
        for template in &reach.attach {
            let name = |locale: &str| {
                let mut facts = facts.clone();
                facts["customer"]["locale"] = locale.into();
                template.render(&facts)
            };
            let rendered = self.change.config.messages.instruction(name, &wanted, facts);
            let (name, text) = rendered.map_err(|e| format!("the attachment {}: {e}", template.source()))?;
            // Plain text is shown by every reader; its name is all that tells where it came from.
            let name = name.rsplit('/').next().unwrap_or(&name).trim_end_matches(".md").to_owned();
            attachments.push((format!("{name}.txt"), text));
        }
        Ok((attachments, reach.importance.as_ref().map(ToString::to_string)))
    }

    /// The mail with which a workshop is asked, or asked no more.
    fn request(&self) -> Result<Work, String> {
        let workshop = book::reader(self.change, self.id).ok_or("the workshop is not asked by mail any more")?;
        let facts = self.facts(true);
        let (_, subject) = self.render(Part::Subject, &facts)?;
        let (locale, text) = self.render(Part::Text, &facts)?;
        let (_, html) = self.render(Part::Html, &facts)?;
        Ok(Work::Mail(MailWork {
            chart: None,
            invitation: book::invitation(self.change, self.id, &subject).map(Box::new),
            to_name: facts["booking"]["workshop"].as_str().unwrap_or_default().to_owned(),
            to: workshop.mailbox.clone(),
            subject,
            text,
            html,
            locale,
            purpose: self.row.delivery.purpose,
            importance: None,
            attachments: Vec::new(),
            unsubscribe: None,
            reply_to: self.case_address(),
            comes_back_to: self.comes_back_to(),
        }))
    }

    fn reply_to(&self) -> Option<String> {
        customer(self.change, self.row)?;
        self.case_address()
    }

    fn case_address(&self) -> Option<String> {
        let (links, domain) = (self.change.config.links.as_ref()?, self.change.config.contact.reply_domain.as_ref()?);
        Some(crate::wire::reply::address(&links.key, &self.row.case, domain))
    }

    fn comes_back_to(&self) -> Option<String> {
        let (links, contact) = (self.change.config.links.as_ref()?, &self.change.config.contact);
        Some(crate::wire::reply::bounce(&links.key, &self.id, contact.bounce_domain.as_ref()?))
    }

    /// Where a customer ends mails like this, and the words for it; not in warnings of danger.
    fn unsubscribe(&self) -> Option<(String, String)> {
        customer(self.change, self.row).filter(|_| self.row.delivery.purpose != Purpose::Safety)?;
        let links = super::link::links(self.change, self.id)?;
        let url = links[PageKind::Unsubscribe.name()].as_str()?.to_owned();
        let words = speech::short(self.change, "opt-out-hint", Part::Text, &locale(self.change, self.row)).1;
        Some((url, words.trim().to_owned()))
    }

    fn app(&self) -> Result<Work, String> {
        let facts = self.facts(true);
        let (_, title) = self.render(Part::AppTitle, &facts)?;
        let (locale, text) = self.render(Part::App, &facts)?;
        let label = |key: char, script: &str, facts: &Json, otherwise: &str| {
            let rendered = self.change.config.messages.render(script, Part::App, &locale, facts);
            (key, rendered.map_or_else(|_| otherwise.to_owned(), |(_, text)| text))
        };
        let asks = book::asks(self.change, self.row);
        let page = match survey::asks(self.change, self.row) {
            true => PageKind::Survey,
            false if asks => PageKind::Choose,
            false => PageKind::Answer,
        };
        let page = facts["link"][page.name()].as_str().or(facts["case"]["url"].as_str());
        let choices = if asks {
            let times = book::choices(&facts).into_iter();
            times.map(|(key, script, facts)| label(key, script, &facts, &key.to_string())).collect()
        } else {
            let keys = speech::choices(self.change, self.row).iter();
            keys.map(|(key, script, words)| label(*key, script, &json!({}), words)).collect()
        };
        Ok(Work::App(AppWork {
            user: self.address()?,
            purpose: self.row.delivery.purpose,
            title,
            text,
            case: (self.row.case.short(), page.unwrap_or_default().to_owned()),
            choices,
            valid_until: self.change.now + self.validity(),
            locale,
        }))
    }

    /// A stale text misleads: "stop now" must not arrive tomorrow.
    fn validity(&self) -> Span {
        if self.row.delivery.purpose == Purpose::Safety { Span::from_mins(10) } else { Span::from_hours(4) }
    }

    fn about(&self) -> Result<String, String> {
        self.row.about.clone().ok_or_else(|| "it is about nothing".to_owned())
    }

    fn text(&self) -> String {
        talk::fill_in(self.change, self.row.case, self.row.text.as_deref().unwrap_or_default())
    }

    fn ticket(&self) -> Result<TicketWork, String> {
        let plan = self.change.plan(self.case).ok_or("its playbook cannot be read")?;
        let Some(Verb::Ticket(t)) = plan.step(&self.row.step).map(|s| &s.verb) else {
            return Err("its step is gone".to_owned());
        };
        let facts = self.facts(true);
        let render = |t: &crate::playbook::Template| t.render(&facts).map_err(|e| format!("ticket field: {e}"));
        let title: String =
            render(&t.title)?.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect();
        let mut fields = std::collections::BTreeMap::new();
        for (name, template) in &t.fields {
            fields.insert(name.clone(), render(template)?);
        }
        let body = match &t.script {
            Some(script) => {
                let rendered = self.change.config.messages.render(script.as_str(), Part::Text, "en", &facts);
                rendered.map_err(|e| format!("the text {script}: {e}"))?.1
            }
            None => self.plain_body(),
        };
        Ok(TicketWork::Create { title, body, fields, customer: self.ticket_customer() })
    }

    /// After the ticket was closed, it opens it again.
    fn note(&self) -> Result<TicketWork, String> {
        Ok(TicketWork::Note { ticket: self.about()?, body: self.text(), reopens: self.row.parent.is_some() })
    }

    /// The owner (else the driver), so that the desk knows whose ticket it is.
    fn ticket_customer(&self) -> Option<(String, String)> {
        let roles = ["owner".into(), "driver".into()];
        let mut people = self.change.config.registry.people(&self.case.device, &roles);
        people.find_map(|c| c.endpoint(EndpointKind::Email).map(|e| (e.address.to_string(), c.name.to_string())))
    }

    fn plain_body(&self) -> String {
        let case = self.case;
        let mut body = format!(
            "{}\n\nDevice: {}\nFault: {} ({}, confidence {:.2})\nPlaybook: {} version {}\n",
            case.title, case.device, case.fault, case.severity, case.confidence, case.playbook, case.version
        );
        if !case.evidence.is_empty() {
            body.push_str("\nMeasured:\n");
        }
        for e in &case.evidence {
            // Numbers as a person reads them; the exact ones are in the case.
            let value = e.value.as_num().map_or_else(|| e.value.to_string(), |n| format!("{n:.2}"));
            let _ = writeln!(body, "  {} = {value} {}", e.name, e.unit);
        }
        let _ = write!(body, "\nCase: {}/api/v1/cases/{}\n", self.change.config.public_url, self.row.case);
        body
    }

    fn command(&self) -> Result<Work, String> {
        let plan = self.change.plan(self.case).ok_or("its playbook cannot be read")?;
        let Some(Verb::Command(c)) = plan.step(&self.row.step).map(|s| &s.verb) else {
            return Err("its step is gone".to_owned());
        };
        let expires_at = self.row.delivery.limit_at;
        let mut facts = self.facts(false);
        facts["action"] = json!({ "id": self.id.to_string(), "expires": expires_at.to_string() });
        let topic = c.topic.render(&facts).map_err(|e| e.to_string())?;
        let payload = c.payload.render(&facts).map_err(|e| e.to_string())?;
        if topic.contains(['+', '#', '\0']) || topic.is_empty() {
            return Err(format!("'{topic}' is not a topic name"));
        }
        Ok(Work::Command(CommandWork { topic, payload, expires_at }))
    }

    fn webhook(&self) -> Result<Work, String> {
        let facts = self.facts(true);
        let plan = self.change.plan(self.case);
        if let Some(Verb::Webhook(w)) = plan.as_ref().and_then(|p| p.step(&self.row.step)).map(|s| &s.verb) {
            let text = w.body.render(&facts).map_err(|e| format!("body: {e}"))?;
            let body = serde_json::from_str(&text).map_err(|e| format!("the body is not JSON: {e}"))?;
            return Ok(Work::Webhook(WebhookWork { body }));
        }
        let body = json!({
            "case": self.row.case.to_string(),
            "short": self.row.case.short(),
            "device": self.case.device.as_str(),
            "fault": self.case.fault.as_str(),
            "severity": self.case.severity.as_str(),
            "title": self.case.title,
            "queue": facts["page"]["queue"],
            "reason": facts["page"]["reason"],
            "url": facts["case"]["url"],
        });
        Ok(Work::Webhook(WebhookWork { body }))
    }
}
