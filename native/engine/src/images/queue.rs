//! The order in which images are compiled.
//!
//! Images wait by the time that compiling them is expected to take: small ones are never behind large ones. Within a
//! class an image is due some time after it has come, the later the more expensive it is, so that a cheap one goes before
//! an expensive one that has just come, and no one waits for ever.

use std::collections::BTreeMap;
use wasmparser::{Parser, Payload};

/// Images that compile within a tenth of a second.
const SMALL: u64 = 100_000;

/// Images that compile within three seconds: those of AO processes.
const MEDIUM: u64 = 3_000_000;

/// How much longer than it takes to compile an image it may wait for cheaper ones.
const PATIENCE: u64 = 4;

/// What a thread compiles: images of its own class, and of smaller ones where there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Small,
    Medium,
    Large,
}

impl Class {
    pub(super) const ALL: [Class; 3] = [Class::Small, Class::Medium, Class::Large];

    fn of(cost: u64) -> Class {
        if cost <= SMALL {
            Class::Small
        } else if cost <= MEDIUM {
            Class::Medium
        } else {
            Class::Large
        }
    }
}

/// Where something waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    class: Class,
    due: u64,
    number: u64,
}

/// What waits, in order.
#[derive(Debug)]
pub(super) struct Queue<T> {
    small: BTreeMap<(u64, u64), T>,
    medium: BTreeMap<(u64, u64), T>,
    large: BTreeMap<(u64, u64), T>,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Queue<T> {
        Queue { small: BTreeMap::new(), medium: BTreeMap::new(), large: BTreeMap::new() }
    }

    /// Adds an item. `now` and `cost` are microseconds; no two items have the same `number`.
    pub(super) fn push(&mut self, number: u64, now: u64, cost: u64, item: T) -> Place {
        let place = Place { class: Class::of(cost), due: now.saturating_add(cost.saturating_mul(PATIENCE)), number };
        self.class(place.class).insert((place.due, number), item);
        place
    }

    /// Takes the next item for a thread of a class.
    pub(super) fn take(&mut self, class: Class) -> Option<T> {
        let own = [&mut self.large, &mut self.medium, &mut self.small].into_iter().skip(match class {
            Class::Large => 0,
            Class::Medium => 1,
            Class::Small => 2,
        });
        own.filter_map(BTreeMap::pop_first).map(|(_, item)| item).next()
    }

    /// Takes the item at a place, if it still waits.
    pub(super) fn remove(&mut self, place: Place) -> Option<T> {
        self.class(place.class).remove(&(place.due, place.number))
    }

    fn class(&mut self, class: Class) -> &mut BTreeMap<(u64, u64), T> {
        match class {
            Class::Small => &mut self.small,
            Class::Medium => &mut self.medium,
            Class::Large => &mut self.large,
        }
    }
}

/// The time that compiling these bytes takes, in microseconds, on one thread and roughly: it only orders the queue. Reads
/// the headers of sections.
pub(super) fn expected_cost(bytes: &[u8]) -> u64 {
    let (mut code, mut functions) = (0, 0);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload {
            Ok(Payload::CodeSectionStart { count, size, .. }) => {
                (code, functions) = (u64::from(size), u64::from(count));
                break;
            }
            Ok(_) => {}
            // What is malformed is refused soon.
            Err(_) => break,
        }
    }
    // Measured on the images of AO processes: 4 microseconds for each byte of code. The rest is read and copied.
    code * 4 + functions * 100 + bytes.len() as u64 / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn taken(queue: &mut Queue<&'static str>, class: Class) -> Vec<&'static str> {
        std::iter::from_fn(|| queue.take(class)).collect()
    }

    #[test]
    fn a_thread_takes_images_of_its_class_before_smaller_ones_and_none_that_are_larger() {
        let mut queue = Queue::new();
        queue.push(1, 0, SECOND / 20, "small");
        queue.push(2, 0, SECOND, "medium");
        queue.push(3, 0, 60 * SECOND, "large");
        assert_eq!(taken(&mut queue, Class::Small), ["small"]);
        queue.push(4, 0, SECOND / 20, "small");
        assert_eq!(taken(&mut queue, Class::Medium), ["medium", "small"]);
        queue.push(5, 0, SECOND / 20, "small");
        queue.push(6, 0, SECOND, "medium");
        assert_eq!(taken(&mut queue, Class::Large), ["large", "medium", "small"]);
    }

    #[test]
    fn a_cheap_image_goes_before_an_expensive_one_that_has_just_come() {
        let mut queue = Queue::new();
        queue.push(1, 0, 2 * SECOND, "expensive");
        queue.push(2, 10, SECOND / 5, "cheap");
        assert_eq!(taken(&mut queue, Class::Large), ["cheap", "expensive"]);
    }

    #[test]
    fn an_expensive_image_goes_before_cheap_ones_that_come_later_and_later() {
        let mut queue = Queue::new();
        queue.push(0, 0, 2 * SECOND, "expensive");
        let mut before = 0;
        for number in 1.. {
            queue.push(number, number * SECOND / 5, SECOND / 5, "cheap");
            if queue.take(Class::Medium) == Some("expensive") {
                break;
            }
            before += 1;
            assert!(before < 100);
        }
        assert!(before > 10);
    }

    #[test]
    fn equal_images_keep_their_order_and_one_that_is_removed_is_gone() {
        let mut queue = Queue::new();
        queue.push(1, 0, 0, "first");
        let second = queue.push(2, 0, 0, "second");
        queue.push(3, 0, 0, "third");
        assert_eq!(queue.remove(second), Some("second"));
        assert_eq!(queue.remove(second), None);
        assert_eq!(taken(&mut queue, Class::Small), ["first", "third"]);
    }

    #[test]
    fn the_cost_of_an_image_is_that_of_its_code() {
        let function = "(func (param i32) (result i32) (local.get 0) (i32.add (i32.const 1)))";
        let image = |count| wat::parse_str(format!("(module {} )", function.repeat(count))).unwrap();
        let (few, many) = (expected_cost(&image(10)), expected_cost(&image(1000)));
        assert!(few * 50 < many && many < few * 200, "{few} {many}");
        let data = wat::parse_str(format!(r#"(module (memory 2) (data (i32.const 0) "{}"))"#, "x".repeat(100_000)));
        assert!(expected_cost(&data.unwrap()) < SECOND / 100);
        assert!(expected_cost(b"neither") < SECOND / 100);
    }
}
