//! The SSH front.

pub mod intercept;
pub mod observe;
pub mod pipe;
