//! So much of something of which a host has only so much: typed, or moved like a slider.

use super::Hint;
use crate::{
    command::view::size,
    model::{cpu::CpuLimit, size::Size},
    tui::line::Line,
};

/// So much of something.
#[derive(Debug, Clone, Default)]
pub struct Amount {
    /// What was typed.
    pub line: Line,
    /// What of.
    pub unit: Unit,
    /// The limit at present, or the one that is usual.
    pub now: Option<u64>,
    /// How much is in use.
    pub used: Option<u64>,
    /// How much there is, and where.
    pub most: Option<(u64, String)>,
    /// It is of a container that there is: `none` takes its limit away, and more than the host has is
    /// only written down.
    pub resizes: bool,
}

/// What there is so much of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unit {
    /// Processors.
    #[default]
    Processors,
    /// Bytes of memory: less than is in use is a risk.
    Memory,
    /// Bytes of a disk: less than is in use cannot be.
    Disk,
}

/// Cells of what is typed, before the slider.
const TYPED: u16 = 10;
const GAP: u16 = 2;

/// Room that `resize` wants on a disk that is made smaller: at least a tenth of what it holds.
const SPARE_SHARE: u64 = 10;

/// A slider does not go to less, in bytes: smaller systems do not run.
const LEAST_BYTES: u64 = 256 << 20;

impl Amount {
    /// What is typed, or what holds as long as nothing is.
    #[must_use]
    pub fn value(&self) -> Option<u64> {
        match self.line.text() {
            "" => self.now,
            "none" => self.most.as_ref().map(|(most, _)| *most),
            text => self.read(text).ok(),
        }
    }

    /// What is said of it, or what is wrong with it.
    ///
    /// # Errors
    /// It is none, or there is not so much.
    pub fn check(&self) -> Result<Hint, String> {
        let text = self.line.text();
        if text.is_empty() {
            return Ok(Hint::None);
        }
        if text == "none" && self.resizes {
            return Ok(Hint::Good("as much as the host has".to_owned()));
        }
        let value = self.read(text)?;
        let shrinks = self.resizes && self.now.is_none_or(|now| value < now);
        match (self.unit, &self.most, self.used) {
            (Unit::Processors, Some((most, place)), _) if value > *most => {
                Err(format!("{place} has {most} processors"))
            }
            (Unit::Disk, _, Some(used))
                if shrinks && value < used.saturating_add(used / SPARE_SHARE) =>
            {
                Err(format!("{} are in use, and it needs room to work", size(used)))
            }
            (Unit::Memory, _, Some(used)) if value < used => Ok(Hint::Careful(format!(
                "{} are in use with cached files; what cannot be given back is not taken away",
                size(used)
            ))),
            (Unit::Memory | Unit::Disk, Some((most, place)), _) if value > *most => {
                let text = format!("{place} has only {}", size(*most));
                if self.resizes { Ok(Hint::Careful(text)) } else { Err(text) }
            }
            (Unit::Processors | Unit::Memory | Unit::Disk, ..) => Ok(Hint::None),
        }
    }

    /// More or less of it, in steps that become larger with it.
    pub fn step(&mut self, up: bool) {
        let now = self.value().unwrap_or(0);
        let next = match self.unit {
            Unit::Processors if up => now.saturating_add(1),
            Unit::Processors => now.saturating_sub(1).max(1),
            Unit::Memory | Unit::Disk => {
                let size = if up { now } else { now.saturating_sub(1) };
                // About a quarter of it.
                let step =
                    (size / 4).max(LEAST_BYTES).checked_ilog2().map_or(1, |log| 1_u64 << log);
                let steps = if up { now / step + 1 } else { now.div_ceil(step).saturating_sub(1) };
                steps.saturating_mul(step).max(LEAST_BYTES)
            }
        };
        let most = self.most.as_ref().map_or(u64::MAX, |(most, _)| (*most).max(1));
        self.set(next.min(most));
    }

    /// A click on this cell of so many.
    pub(super) fn click(&mut self, cell: u16, room: u16) {
        let length = slider(room);
        let Some(cell) = cell.checked_sub(TYPED + GAP).filter(|cell| *cell < length) else {
            return;
        };
        let Some((most, _)) = self.most.clone() else { return };
        let wanted = u128::from(most) * (u128::from(cell) + 1) / u128::from(length);
        let wanted = u64::try_from(wanted).unwrap_or(most).max(1);
        let round = match self.unit {
            Unit::Processors => wanted,
            // To a sixteenth of it, as nobody wants 7.3 GiB.
            Unit::Memory | Unit::Disk => {
                let part = 1_u64 << (wanted.max(16) / 16).ilog2();
                wanted.div_ceil(part).saturating_mul(part).clamp(LEAST_BYTES.min(most), most)
            }
        };
        self.set(round);
    }

    /// What is in use and what is given, of all there is, from 0 to 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a bar shows no more")]
    pub fn shares(&self) -> Option<(f32, f32)> {
        let (most, _) = self.most.as_ref().filter(|(most, _)| *most > 0)?;
        let share = |n: u64| (n as f32 / *most as f32).clamp(0.0, 1.0);
        Some((share(self.used.unwrap_or(0)), share(self.value().unwrap_or(0))))
    }

    /// What is known: how much is in use, and is there.
    #[must_use]
    pub fn known(&self) -> String {
        let show = |n: u64| match self.unit {
            Unit::Processors => n.to_string(),
            Unit::Memory | Unit::Disk => size(n),
        };
        let used = self.used.map(|used| format!("{} in use", show(used)));
        let most = self.most.as_ref().map(|(most, place)| format!("{place} has {}", show(*most)));
        [used, most].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    fn set(&mut self, value: u64) {
        let text = match self.unit {
            Unit::Processors => Some(value.to_string()),
            Unit::Memory | Unit::Disk => Size::from_bytes(value).map(|size| size.to_string()),
        };
        self.line = Line::new(text.unwrap_or_default());
    }

    fn read(&self, text: &str) -> Result<u64, String> {
        match self.unit {
            Unit::Processors => {
                text.parse::<CpuLimit>().map(CpuLimit::needed).map_err(|e| e.to_string())
            }
            Unit::Memory | Unit::Disk => {
                text.parse::<Size>().map(Size::bytes).map_err(|e| e.to_string())
            }
        }
    }
}

/// Cells of a slider in a field of so many; longer ones are no easier to read.
#[must_use]
pub fn slider(room: u16) -> u16 {
    room.saturating_sub(TYPED + GAP).min(40)
}

/// Where it begins in its field.
pub const SLIDER: u16 = TYPED + GAP;
