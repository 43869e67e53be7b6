//! The life of an effect: due, claimed, sent, known or unknown. Pure.
