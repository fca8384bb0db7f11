//! What the server does of itself for a queue of writes, each in one step.

use crate::store::redis::Script;

/// Adds a write unless its lane is full. Keys: stream, newest, waiting. Arguments: lane, most, key, value.
const ADD: &str = "
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[2]) then return false end
local id = redis.call('XADD', KEYS[1], '*', 'k', ARGV[3], 'v', ARGV[4])
redis.call('HSET', KEYS[2], ARGV[3], id)
redis.call('HINCRBY', KEYS[3], ARGV[1], 1)
return id";

/// Returns the newest value of a key that waits. Keys: stream, newest. Arguments: key.
const PENDING: &str = "
local id = redis.call('HGET', KEYS[2], ARGV[1])
local row = id and redis.call('XRANGE', KEYS[1], id, id)[1]
return row and row[2][4]";

/// Reads the oldest writes of a lane that are not settled, those first that were read before: what is
/// new must not overtake them. Makes the group if it is not there. Keys: stream, waiting. Arguments:
/// lane, count, how many the caller knows to wait. Returns how many were lost, how many wait, and the
/// writes.
const TAKE: &str = "
local function read(from, count)
  local command = { 'XREADGROUP', 'GROUP', 'larder', 'holder', 'COUNT', count, 'STREAMS', KEYS[1], from }
  local answer = redis.pcall(unpack(command))
  if answer and answer.err and string.sub(answer.err, 1, 7) == 'NOGROUP' then
    redis.call('XGROUP', 'CREATE', KEYS[1], 'larder', '0', 'MKSTREAM')
    answer = redis.call(unpack(command))
  end
  if answer and answer.err then return answer end
  return answer and answer[1][2] or {}
end
local count = tonumber(ARGV[2])
local taken = read('0', count)
if taken.err then return taken end
if #taken < count then
  local new = read('>', count - #taken)
  if new.err then return new end
  for _, row in ipairs(new) do taken[#taken + 1] = row end
end
local seen = ARGV[1] .. ':seen'
local length = redis.call('XLEN', KEYS[1])
local noted = redis.call('HMGET', KEYS[2], ARGV[1], seen)
local lost = tonumber(noted[1] or 0) - length
if not noted[2] then lost = math.max(lost, tonumber(ARGV[3])) end
if lost ~= 0 or not noted[2] then redis.call('HSET', KEYS[2], ARGV[1], length, seen, 1) end
return { math.max(lost, 0), length, taken }";

/// Removes writes. Keys: stream, newest, waiting. Arguments: lane, id and key of each.
const SETTLE: &str = "
local ids = {}
for at = 2, #ARGV, 2 do
  ids[#ids + 1] = ARGV[at]
  if redis.call('HGET', KEYS[2], ARGV[at + 1]) == ARGV[at] then
    redis.call('HDEL', KEYS[2], ARGV[at + 1])
  end
  -- No more are handed to one command than Lua can.
  if #ids == 1000 or at + 1 == #ARGV then
    redis.call('XACK', KEYS[1], 'larder', unpack(ids))
    redis.call('XDEL', KEYS[1], unpack(ids))
    ids = {}
  end
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

/// Takes a lane that nobody holds, or holds it further. Keys: held, waiting. Arguments: lane, holder,
/// milliseconds. Returns -1 if it is held, else how many wait for the one who has it.
const HOLD: &str = "
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[2] then
  return math.max(tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or 0), 0)
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return -1";

/// Lets a lane go, if it is one's own. Keys: held. Arguments: holder.
const RELEASE: &str = "
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0";

/// The scripts of a queue.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) add: Script,
    pub(super) pending: Script,
    pub(super) take: Script,
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
            take: Script::new(TAKE),
            settle: Script::new(SETTLE),
            bury: Script::new(BURY),
            dig_up: Script::new(DIG_UP),
            hold: Script::new(HOLD),
            release: Script::new(RELEASE),
        }
    }
}
