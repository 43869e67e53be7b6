//! The Twilio shape of voice and text messages, which several providers speak: forms in, JSON and TwiML out, and a
//! signature over the address and the form.

mod form;
mod signature;
mod twiml;

pub use form::{
    CALL_EVENTS, CallCallback, CallList, CallRecord, Form, MessageList, MessageRecord, Problem, SmsCallback,
    call_callback, call_form, call_progress, form_body, inbound_sms, parse_form, sms_callback, sms_form, sms_progress,
};
pub use signature::{HEADER, sign, sign_json_url, verify, verify_json};
pub use twiml::{GATHER_TIMEOUT_S, SAY_MAX, Say, Then, message, nothing, please_wait, twiml};
