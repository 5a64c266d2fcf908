//! The wall clock, and the calendar that `std` lacks. Order and deadlines never depend on it; the
//! life of stored files does.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970-01-01 00:00 UTC; 0 where the clock stands before that.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A moment as people write it, in the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// Year, 1970 and later.
    pub year: i64,
    /// Month, 1 to 12.
    pub month: i64,
    /// Day of the month, 1 to 31.
    pub day: i64,
    /// Hour, 0 to 23.
    pub hour: i64,
    /// Minute, 0 to 59.
    pub minute: i64,
    /// Second, 0 to 59.
    pub second: i64,
    /// Day of the week, 0 is Sunday.
    pub weekday: i64,
}

/// The moment `ms` (milliseconds since 1970, UTC) as it reads `offset` minutes east of Greenwich.
pub fn civil(ms: u64, offset: i64) -> Civil {
    let seconds = i64::try_from(ms / 1000).unwrap_or(i64::MAX / 2) + offset * 60;
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date_of(days);
    let weekday = (days + 4).rem_euclid(7); // 1970-01-01 was a Thursday
    Civil { year, month, day, hour: rest / 3600, minute: rest / 60 % 60, second: rest % 60, weekday }
}

/// Year, month and day of the day `days` after 1970-01-01. Years begin in March here, so that the
/// leap day is the last of its year; an era is 400 years, 146,097 days, after which all repeats.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468; // from 0000-03-01
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let leap_days = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = 400 * era + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

/// Milliseconds since 1970, UTC, of a moment that reads so `offset` minutes east of Greenwich, whatever its weekday. None:
/// there is none, or it lies before 1970. The inverse of `civil`, and checked by it.
pub fn since_1970(moment: Civil, offset: i64) -> Option<u64> {
    let Civil { year, month, day, hour, minute, second, .. } = moment;
    let (year, month_from_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let leap_days = year_of_era / 4 - year_of_era / 100;
    let day_of_era = 365 * year_of_era + leap_days + (153 * month_from_march + 2) / 5 + day - 1;
    let days = 146_097 * era + day_of_era - 719_468;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset * 60;
    let ms = u64::try_from(seconds).ok()? * 1000;
    let found = civil(ms, offset);
    (found == Civil { weekday: found.weekday, ..moment }).then_some(ms)
}
