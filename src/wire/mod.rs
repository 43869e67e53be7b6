//! The exact shapes of other people's protocols: signatures, TwiML, job bodies. Pure; used by channels, http and the demo alike.
