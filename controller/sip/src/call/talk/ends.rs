//! The two ends of a call in service: a dialog and a session timer each.

use std::ops::{Index, IndexMut};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use svpn_vpn::request::ApplicationId;
use tokio::time::Instant;

use crate::call::agreed::{Agreed, KeptAgreed};
use crate::call::timers::{Agreement, Timer};
use crate::call::within::Side;
use crate::config::SessionTimer;
use crate::sessions::Kept;
use crate::stack::{Dialog, KeptDialog};

use super::ResumeError;

/// What is kept of a call.
#[derive(Debug, Serialize, Deserialize)]
struct KeptCall {
    caller: KeptDialog,
    callee: KeptDialog,
    agreed: KeptAgreed,
    /// A gateway that knew no session timers has kept none.
    #[serde(default)]
    timers: [Agreement; 2],
}

/// One end.
pub(crate) struct End {
    pub(super) dialog: Dialog,
    pub(super) timer: Timer,
    /// The number of our refresh under way.
    pub(super) refreshing: Option<u32>,
}

/// Both, the caller first.
pub(crate) struct Ends([End; 2]);

impl Ends {
    /// Those of a call that was agreed on now, the caller's first.
    pub(crate) fn new(ends: [(Dialog, Agreement); 2]) -> Self {
        let now = Instant::now();
        Self(ends.map(|(dialog, agreement)| End { dialog, timer: Timer::new(agreement, now), refreshing: None }))
    }

    /// What has to be kept to go on with these ends.
    pub(crate) fn keep(&self, agreed: &Agreed) -> Kept {
        let [caller, callee] = &self.0;
        Self::kept([&caller.dialog, &callee.dialog], [caller.timer.agreement, callee.timer.agreement], agreed)
    }

    /// The same, where the dialogs or the timers are about to be others.
    pub(super) fn kept([caller, callee]: [&Dialog; 2], timers: [Agreement; 2], agreed: &Agreed) -> Kept {
        let call = KeptCall { caller: caller.keep(), callee: callee.keep(), agreed: agreed.keep(), timers };
        // Texts and numbers always have a form in JSON.
        Kept(serde_json::to_string(&call).unwrap_or_default())
    }

    /// What was kept.
    pub(super) fn resume(kept: &Kept, limits: SessionTimer) -> Result<(Self, Agreed), ResumeError> {
        let KeptCall { caller, callee, agreed, timers: [to_caller, to_callee] } = serde_json::from_str(&kept.0)?;
        let now = Instant::now();
        let agreed = Agreed::resume(agreed)?;
        let end = |dialog, agreement, whose: &ApplicationId| -> Result<End, ResumeError> {
            let timer = Timer::resumed(agreement, now, soon(limits));
            Ok(End { dialog: Dialog::resume(dialog, Some(whose.clone()))?, timer, refreshing: None })
        };
        Ok((Self([end(caller, to_caller, &agreed.caller)?, end(callee, to_callee, &agreed.callee)?]), agreed))
    }
}

/// When a call of the gateway before this one is refreshed: early, and not all calls at once.
fn soon(limits: SessionTimer) -> Duration {
    limits.interval.mul_f64(rand::random_range(0.125..0.25))
}

impl Index<Side> for Ends {
    type Output = End;

    fn index(&self, side: Side) -> &End {
        let [caller, callee] = &self.0;
        match side {
            Side::Caller => caller,
            Side::Callee => callee,
        }
    }
}

impl IndexMut<Side> for Ends {
    fn index_mut(&mut self, side: Side) -> &mut End {
        let [caller, callee] = &mut self.0;
        match side {
            Side::Caller => caller,
            Side::Callee => callee,
        }
    }
}
