-- ARGV from 2: how many names and log entries are kept, the channel; then for each stamp: its
-- moment if it is soft (else empty), the rest of the message to others, the count of names, the
-- names. A name begins with the four digits of its bucket. Returns epoch and last number.
local most_names, most_entries, channel = tonumber(ARGV[2]), ARGV[3], ARGV[4]
local epoch, number = ensure()

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

local at = 5
while at <= #ARGV do
  local count = tonumber(ARGV[at + 2])
  stamp(ARGV[at], ARGV[at + 1], at + 3, at + 2 + count)
  at = at + 3 + count
end
fold()
return { epoch, number }
