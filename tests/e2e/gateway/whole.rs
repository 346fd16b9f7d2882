//! The whole of it: a host dies under load, and everything comes back without anybody's hands.

use super::alone;
use crate::harness::Outage;

/// The scene asserts what people, clients and the host's starter get.
#[test]
fn a_host_that_dies_under_load_comes_back_by_itself() {
    let _alone = alone();
    eprintln!("{}", Outage::set("whole").play());
}
