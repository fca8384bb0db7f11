-- ARGV from 2: how many names and log entries are kept, the channel; the count of names that a writer
-- asks about, then, if there are any, epoch and number of what he had seen, and the names; if there is a
-- sixth key, the version of a row and for how many milliseconds it is kept under that key; then for each
-- stamp: its moment if it is soft (else empty), the rest of the message to others, the count of names,
-- the names. A name begins with the four digits of its bucket. Returns epoch, last number, and
-- whether the writer's value is the latest there is: 1 if so.
local most_names, most_entries, channel = tonumber(ARGV[2]), ARGV[3], ARGV[4]
local epoch, number = ensure()
local at = 6

-- Returns whether no stamp of the names that are asked about is later than what was seen.
local function is_unstamped(asked)
  if asked == 0 then
    return true
  end
  local current, seen = ARGV[at] == epoch, tonumber(ARGV[at + 1])
  for place = at + 2, at + 1 + asked do
    local name = ARGV[place]
    local last = redis.call('ZSCORE', tags, name)
      or redis.call('HGET', buckets, string.sub(name, 1, 4)) or 0
    current = current and tonumber(last) <= seen
  end
  at = at + 2 + asked
  return current
end

-- Returns whether the version, of twenty digits, is later than any before, and keeps it if it is.
local function is_newest(row)
  if not row then
    return true
  end
  -- A key of another type is as good as none.
  local version, kept_for, held = ARGV[at], ARGV[at + 1], redis.pcall('GET', row)
  at = at + 2
  if type(held) == 'string' and held >= version then
    return false
  end
  redis.call('SET', row, version, 'PX', kept_for)
  return true
end

-- What a soft stamp leaves of those before: all but the last in one, on the strict side.
local function add_soft(name, moment)
  local held = redis.call('HGET', soft, name)
  local hard, before, before_at = redis.call('ZSCORE', tags, name) or '0', '0', '-'
  if held then
    local last, last_at
    hard, before, before_at, last, last_at = string.match(held, '^(%d+):(%d+):([%d-]+):(%d+):(%d+)$')
    before = last
    if before_at == '-' or tonumber(last_at) < tonumber(before_at) then
      before_at = last_at
    end
  end
  local stamp = table.concat({ digits(hard), before, before_at, number, moment }, ':')
  redis.call('HSET', soft, name, stamp)
end

local function stamp(moment, rest, first, last)
  number = digits(redis.call('HINCRBY', seq, 'number', 1))
  local entry = { 'epoch', epoch, 'soft', moment }
  local has_soft = redis.call('HLEN', soft) > 1
  for at = first, last do
    local name = ARGV[at]
    if moment ~= '' then
      add_soft(name, moment)
    elseif has_soft then
      redis.call('HDEL', soft, name)
    end
    redis.call('ZADD', tags, number, name)
    entry[#entry + 1] = 'name'
    entry[#entry + 1] = name
  end
  redis.call('XADD', log, 'MAXLEN', '~', most_entries, number .. '-0', unpack(entry))
  redis.call('PUBLISH', channel, '{"id":"' .. epoch .. '-' .. number .. '","seq":' .. number .. rest)
end

-- The names stamped longest ago go into buckets, which only rise.
local function fold()
  local surplus = redis.call('ZCARD', tags) - 1 - most_names
  if surplus <= 0 then
    return
  end
  local oldest = redis.call('ZRANGE', tags, 0, surplus - 1, 'WITHSCORES')
  for at = 1, #oldest, 2 do
    local name = oldest[at]
    local bucket, score = string.sub(name, 1, 4), tonumber(oldest[at + 1])
    if score > tonumber(redis.call('HGET', buckets, bucket) or 0) then
      redis.call('HSET', buckets, bucket, digits(score))
    end
    redis.call('ZREM', tags, name)
    redis.call('HDEL', soft, name)
  end
end

-- Both are asked whatever the first one says, since they read one after another.
local unstamped, newest = is_unstamped(tonumber(ARGV[5])), is_newest(KEYS[6])
while at <= #ARGV do
  local count = tonumber(ARGV[at + 2])
  stamp(ARGV[at], ARGV[at + 1], at + 3, at + 2 + count)
  at = at + 3 + count
end
fold()
return { epoch, number, (unstamped and newest) and 1 or 0 }
