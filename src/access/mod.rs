//! Who may go where: a login name becomes an [`Intent`], an intent and a proven key become a
//! [`Permit`] or nothing. There is no other way to make a permit.

mod authorize;
mod login;

pub use authorize::{
    Credential, Denied, Permit, Policy, Proof, Reason, Target, authorize, could_accept,
};
pub use login::Intent;
