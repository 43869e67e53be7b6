//! The ways out: mail, ticket desks, dispatch, phone, commands. One attempt is one short function.
