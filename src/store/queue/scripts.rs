//! What the server does of itself for a queue of writes, each in one step.
//!
//! Values are kept out of scripts where that can be: to Lua every text is one to be looked up in a table,
//! by a hash of all of its bytes, which for a kilobyte is as much work as the rest of `XADD`.

use crate::store::redis::Script;

/// Adds writes, as many as there is room for in their lane. Keys: stream, newest, waiting. Arguments:
/// lane, most, key and value of each. Returns how many were added, which are the first.
const ADD: &str = "
local room = tonumber(ARGV[2]) - redis.call('XLEN', KEYS[1])
local added = 0
for at = 3, #ARGV, 2 do
  if added >= room then break end
  added = added + 1
  -- The id takes the place of the value, beside its key.
  ARGV[at + 1] = redis.call('XADD', KEYS[1], '*', 'k', ARGV[at], 'v', ARGV[at + 1])
end
if added > 0 then
  redis.call('HSET', KEYS[2], unpack(ARGV, 3, 2 + 2 * added))
  redis.call('HINCRBY', KEYS[3], ARGV[1], added)
end
return added";

/// Returns the newest value of a key that waits. Keys: stream, newest. Arguments: key.
const PENDING: &str = "
local id = redis.call('HGET', KEYS[2], ARGV[1])
local row = id and redis.call('XRANGE', KEYS[1], id, id)[1]
return row and row[2][4]";

/// Begins a round of a lane: holds it further, or takes it if nobody holds it, makes the group if it is
/// not there, and looks how much is there. Keys: held, stream, waiting. Arguments: lane, holder,
/// milliseconds, how many the caller knows to wait. Returns 1, how many wait, how many were read and
/// not settled, and how many were lost; if another holds the lane, 0 and how many wait for him.
const BEGIN: &str = "
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[2] then
  return { 0, math.max(tonumber(redis.call('HGET', KEYS[3], ARGV[1]) or 0), 0) }
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
local read = redis.pcall('XPENDING', KEYS[2], 'larder')
if read.err then
  if string.sub(read.err, 1, 7) ~= 'NOGROUP' then return read end
  redis.call('XGROUP', 'CREATE', KEYS[2], 'larder', '0', 'MKSTREAM')
  read = { 0 }
end
local seen = ARGV[1] .. ':seen'
local length = redis.call('XLEN', KEYS[2])
local noted = redis.call('HMGET', KEYS[3], ARGV[1], seen)
local lost = tonumber(noted[1] or 0) - length
if not noted[2] then lost = math.max(lost, tonumber(ARGV[4])) end
if lost ~= 0 or not noted[2] then redis.call('HSET', KEYS[3], ARGV[1], length, seen, 1) end
return { 1, length, read[1], math.max(lost, 0) }";

/// Removes writes. Keys: stream, newest, waiting. Arguments: lane, id and key of each.
const SETTLE: &str = "
-- No more are handed to one command than Lua can.
for from = 2, #ARGV, 2000 do
  local ids, keys, newest = {}, {}, {}
  for at = from, math.min(from + 1999, #ARGV), 2 do
    ids[#ids + 1] = ARGV[at]
    keys[#keys + 1] = ARGV[at + 1]
  end
  for at, id in ipairs(redis.call('HMGET', KEYS[2], unpack(keys))) do
    if id == ids[at] then newest[#newest + 1] = keys[at] end
  end
  if newest[1] then redis.call('HDEL', KEYS[2], unpack(newest)) end
  redis.call('XACK', KEYS[1], 'larder', unpack(ids))
  redis.call('XDEL', KEYS[1], unpack(ids))
end
return redis.call('HINCRBY', KEYS[3], ARGV[1], -(#ARGV - 1) / 2)";

/// Sets a write aside. Keys: stream, newest, waiting, aside. Arguments: lane, id, key, value, reason.
const BURY: &str = "
redis.call('XADD', KEYS[4], '*', 'k', ARGV[3], 'v', ARGV[4], 'r', ARGV[5])
redis.call('XACK', KEYS[1], 'larder', ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
if redis.call('HGET', KEYS[2], ARGV[3]) == ARGV[2] then
  redis.call('HDEL', KEYS[2], ARGV[3])
end
return redis.call('HINCRBY', KEYS[3], ARGV[1], -1)";

/// Puts a write back. Keys: stream, newest, waiting, aside. Arguments: lane, id aside, key, value.
const DIG_UP: &str = "
if redis.call('XDEL', KEYS[4], ARGV[2]) == 0 then return 0 end
local id = redis.call('XADD', KEYS[1], '*', 'k', ARGV[3], 'v', ARGV[4])
redis.call('HSET', KEYS[2], ARGV[3], id)
redis.call('HINCRBY', KEYS[3], ARGV[1], 1)
return 1";

/// Holds a lane further, or takes it if nobody holds it. Keys: held. Arguments: holder, milliseconds.
const HOLD: &str = "
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1";

/// Lets a lane go, if it is one's own. Keys: held. Arguments: holder.
const RELEASE: &str = "
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0";

/// The scripts of a queue.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) add: Script,
    pub(super) pending: Script,
    pub(super) begin: Script,
    pub(super) settle: Script,
    pub(super) bury: Script,
    pub(super) dig_up: Script,
    pub(super) hold: Script,
    pub(super) release: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            add: Script::new(ADD),
            pending: Script::new(PENDING),
            begin: Script::new(BEGIN),
            settle: Script::new(SETTLE),
            bury: Script::new(BURY),
            dig_up: Script::new(DIG_UP),
            hold: Script::new(HOLD),
            release: Script::new(RELEASE),
        }
    }
}
