//! Time as a guest sees it: the caller's clock, in UTC, in the C locale.

mod calendar;
mod clock;
mod date;
mod layout;
mod names;
mod strftime;
mod strptime;
mod weeks;
mod zone;

pub(super) use clock::FUNCTIONS;
pub(super) use zone::zone_names;
