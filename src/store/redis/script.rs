//! A script that the server keeps by its hash.

use redis::Cmd;

#[cfg(larder_sabotage)]
use crate::sabotage::{Fault, is_planted};

/// A script, sent by its hash where the server knows it.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    code: &'static str,
    hash: String,
}

impl Script {
    pub(crate) fn new(code: &'static str) -> Self {
        #[cfg(larder_sabotage)]
        let code = planted(code);
        Self {
            code,
            hash: redis::Script::new(code).get_hash().to_owned(),
        }
    }

    /// Returns the command that runs it by its hash.
    pub(super) fn by_hash(&self, keys: &[&str], arguments: &[&[u8]]) -> Cmd {
        Self::command("EVALSHA", &self.hash, keys, arguments)
    }

    /// Returns the command that brings it along.
    pub(super) fn in_full(&self, keys: &[&str], arguments: &[&[u8]]) -> Cmd {
        Self::command("EVAL", self.code, keys, arguments)
    }

    fn command(name: &str, script: &str, keys: &[&str], arguments: &[&[u8]]) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(keys.len()).arg(keys);
        for argument in arguments {
            command.arg(*argument);
        }
        command
    }
}

/// Returns a script that takes every process of Redis for one, if that is to be planted.
#[cfg(larder_sabotage)]
fn planted(code: &'static str) -> &'static str {
    const RUN: &str = "string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')";
    if is_planted(Fault::AnyRun) {
        return code.replace(RUN, "'any'").leak();
    }
    code
}
