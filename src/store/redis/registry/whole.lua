-- KEYS: seq, tags, buckets, soft, log. ARGV[1]: an epoch for the case that a new one is needed.
-- This part comes before each of the scripts.
local seq, tags, buckets, soft, log = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')

-- Lua would write a number of this size with an exponent.
local function digits(number)
  return string.format('%.0f', number)
end

-- Returns epoch and number, if no part is missing, of another epoch, or of another run.
local function whole()
  local held = redis.call('HMGET', seq, 'epoch', 'run', 'number')
  local epoch, number = held[1], held[3]
  if not epoch or not number or held[2] ~= run then
    return nil
  end
  local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
  if not last or last[1] ~= number .. '-0' or last[2][2] ~= epoch then
    return nil
  end
  if not redis.call('ZSCORE', tags, '=' .. epoch)
    or redis.call('HGET', buckets, '=') ~= epoch
    or redis.call('HGET', soft, '=') ~= epoch then
    return nil
  end
  return epoch, number
end

-- Returns epoch and number of the registry, which is begun anew if it is not whole.
local function ensure()
  -- A key of another type is an error, and no part of a registry.
  local good, epoch, number = pcall(whole)
  if good and epoch then
    return epoch, number
  end
  redis.call('UNLINK', seq, tags, buckets, soft, log)
  epoch = ARGV[1]
  local time = redis.call('TIME')
  number = digits((time[1] * 1000 + math.floor(time[2] / 1000)) * 1024)
  redis.call('HSET', seq, 'epoch', epoch, 'run', run, 'number', number)
  redis.call('ZADD', tags, '+inf', '=' .. epoch)
  redis.call('HSET', buckets, '=', epoch)
  redis.call('HSET', soft, '=', epoch)
  redis.call('XADD', log, number .. '-0', 'epoch', epoch)
  return epoch, number
end
