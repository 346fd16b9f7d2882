//! The full-screen interface of administrators.

pub mod blocks;
pub mod choices;
pub mod complete;
pub mod draw;
pub mod driver;
pub mod facts;
pub mod fold;
pub mod form;
pub mod forms;
pub mod images;
pub mod input;
pub mod keymap;
pub mod layout;
pub mod line;
pub mod pace;
pub mod records;
pub mod shared;
pub mod state;
pub mod surface;
pub mod table;
pub mod theme;
pub mod update;
pub mod uses;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
