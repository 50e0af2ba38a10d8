-- What the processes of a fleet may still use of the exchange's limits, decided in Redis in one step.
-- `leases` has the theory, and writes the arguments.
--
-- KEYS[1]: the address or account, without which no other key is named.
-- ARGV: the holder, the number of its report, its sessions, the run that it heard last (or ''), whether it may go on by
--   itself, the exchange's time and by what that may be wrong (or ''), in how many milliseconds all that was granted by
--   another run has arrived or is told, and how many holds follow;
--   of each hold: its scope, the milliseconds that are left, status, code, message;
--   of each limit: what READ lists.

local root, holder, number, heard = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[4]
local settling = tonumber(ARGV[8])

local GONE = 10000             -- milliseconds without a report after which a holder no longer counts among the holders
local AWAY = 1000              -- milliseconds without an answer after which a process may go on by itself
local ALL = 99
local LAPSE, LONGEST_LAPSE = 20, 3000  -- what is kept for after a loss lapses for the last part of a window, one in so many
local CANCEL, CANCEL_PART = 50, 10
local READ = {                 -- the fields of a limit, in their order
  'limit', 'window', 'length', 'age', 'counted', 'is_weight', 'reserve', 'probe', 'spent',
  'keep', 'prior', 'taken', 'done', 'spilt', 'own',
  'want_own', 'need_own', 'want_cancel', 'need_cancel', 'want_call', 'need_call',
  'count', 'seen', 'seen_done',
}

local function text(value) return string.format('%.0f', value) end

local function split(line)
  local parts = {}
  for part in string.gmatch(line, '%S+') do parts[#parts + 1] = tonumber(part) end
  return parts
end

local function each(key, visit)
  local flat = redis.call('HGETALL', key)
  for i = 1, #flat, 2 do visit(flat[i], flat[i + 1]) end
end

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- Since when this server knows all that is granted. It begins anew if it was started anew, if its keys are gone, if its
-- clock was set back, or if nobody was heard for so long that processes may have gone on by themselves.

local server = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local boot = {}
each(root .. ':boot', function(field, value) boot[field] = value end)
local function is_over()
  if boot.server ~= server or not boot.old or now < tonumber(boot.since) then return true end
  return boot.shares == '1' and now - tonumber(boot.heard) >= AWAY
end
if is_over() then boot.since, boot.shares, boot.old = text(now), '0', '0' end
local since = tonumber(boot.since)
local run = server .. '-' .. boot.since
if ARGV[5] == '1' then boot.shares = '1' end
-- Whoever heard another run may have used what that one granted.
if heard ~= '' and heard ~= run then boot.old = '1' end
redis.call('HSET', root .. ':boot', 'server', server, 'since', boot.since, 'heard', text(now),
  'shares', boot.shares, 'old', boot.old)
local is_settled = now - since >= settling

-- Who is there

redis.call('HSET', root .. ':holders', holder, ARGV[3] .. ' ' .. text(now))
local holders, sessions = 0, 0
each(root .. ':holders', function(id, line)
  local there = split(line)
  if now - there[2] > GONE then
    redis.call('HDEL', root .. ':holders', id)
  else
    holders, sessions = holders + 1, sessions + there[1]
  end
end)

-- The exchange's time, for those who begin

if ARGV[6] ~= '' then
  redis.call('SET', root .. ':clock', text(ARGV[6] - now) .. ' ' .. ARGV[7], 'PX', 600000)
end
local known = split(redis.call('GET', root .. ':clock') or '')
local reply = { run, is_settled and '1' or '0', known[1] and text(known[1] + now) or '', known[2] and text(known[2]) or '' }

-- Holds: each by the end that is the latest

local position = 10
for _ = 1, tonumber(ARGV[9]) do
  local scope, ends = ARGV[position], now + tonumber(ARGV[position + 1])
  local last = redis.call('HGET', root .. ':holds', scope)
  if not last or tonumber(string.match(last, '^%d+')) < ends then
    local words = table.concat({ text(ends), ARGV[position + 2], ARGV[position + 3], ARGV[position + 4] }, ' ')
    redis.call('HSET', root .. ':holds', scope, words)
    redis.call('PUBLISH', root .. ':told', scope)
  end
  position = position + 5
end
local holds = {}
each(root .. ':holds', function(scope, line)
  local ends, status, code, message = string.match(line, '^(%d+) (%d+) (-?%d+) (.*)$')
  if tonumber(ends) > now then
    for _, part in ipairs({ text(ends - now), status, code, message }) do holds[#holds + 1] = part end
  end
end)
reply[#reply + 1] = text(#holds / 4)
for _, part in ipairs(holds) do reply[#reply + 1] = part end

-- One window of one limit

local function window_of(key)
  local window = {
    beyond = 0, calls = 0, foreign = -1, alien = 0, probed = 0, level = 0,
    granted = 0, done = 0, spilt = 0, own = 0, holders = {}, there = false,
  }
  each(key, function(field, value)
    window.there = true
    local id = string.match(field, '^h:(.*)$')
    if id then
      local at = split(value)
      local held = { number = at[1], granted = at[2], prior = at[3], done = at[4], spilt = at[5], own = at[6], since = at[7] }
      window.holders[id] = held
      window.granted, window.done, window.own = window.granted + held.granted, window.done + held.done, window.own + held.own
      window.spilt = window.spilt + held.spilt
    else
      window[field] = field == 'sure' and value or tonumber(value)
    end
  end)
  return window
end

-- What those still have from the window before who have not spoken in this one: it may be used in this one
local function carried(before, window)
  local sum = 0
  for id, held in pairs(before.holders) do
    if not window.holders[id] then sum = sum + held.granted - held.done + held.spilt end
  end
  return sum
end

local function free_in(before, window, limit)
  local foreign = math.max(0, before.alien - window.alien)  -- others use the address too, about as much as they did
  return limit - window.beyond - window.granted - carried(before, window) - foreign
end

local function declare(window, field)
  local held = window.holders[holder] or { granted = 0, done = 0, spilt = 0, own = 0 }
  -- What another run granted is void once others may have been granted the same by this one.
  local is_late = held.since ~= since and window.sure == run
  local granted = is_late and field.taken or math.max(field.keep, field.taken)
  window.granted = window.granted + granted - held.granted
  window.done = window.done + field.done - held.done
  window.spilt = window.spilt + field.spilt - held.spilt
  window.own = window.own + field.own - held.own
  held = {
    number = number, granted = granted, prior = field.prior, done = field.done, spilt = field.spilt, own = field.own, since = since,
  }
  window.holders[holder] = held
  window.calls = window.calls + 1
  return held
end

-- The exchange's count. What is granted and not done explains as much of it as there is of that.
local function correct(window, before, field)
  if field.count < 0 then return end
  -- What a process saw of another run, it did not see of this one.
  local seen = heard == run and field.seen or -1
  if window.sure ~= run then
    -- It saw an answer of when all had arrived that others used; what of ours came later is no more than is granted.
    if seen >= 0 then window.beyond, window.sure = field.count - field.seen_done, run end
    return
  end
  local more = field.count - window.done - window.beyond
  local open = window.granted - window.done + carried(before, window)
  if more > open then
    window.beyond, window.foreign = window.beyond + more - open, window.calls
    window.alien = window.alien + more - open
  elseif more < 0 and seen > window.foreign then
    window.beyond = window.beyond + math.min(0, more + window.done - field.seen_done)
  end
end

local function kept_for_cancels(field)
  return field.is_weight == 1 and math.max(1, math.min(CANCEL, math.floor(field.limit / CANCEL_PART))) or 0
end

local function grant(window, held, field, free, most)
  local own, cancels = 0, kept_for_cancels(field)
  if field.reserve > 0 then
    local most, least = math.floor(field.limit / 2), 7 * sessions  -- whatever they have used, the least is kept
    own = math.max(math.min(math.max(field.reserve, least), most) - window.own, math.min(least, most))
  end
  local function give(want, need, reserve)
    if need > field.limit - field.probe - reserve then reserve = 0 end  -- beside the reserve it would never fit
    local room = math.min(free - reserve, most)
    if want <= 0 or room < need then return 0 end
    local given = math.min(want, room, math.max(need, math.floor(room / (2 * holders))))
    free, most = free - given, most - given
    held.granted, window.granted = held.granted + given, window.granted + given
    return given
  end
  local given = give(field.want_own, field.need_own, 0)
  own = math.max(0, own - given)
  given = given + give(field.want_cancel, field.need_cancel, own)
  held.prior = held.prior + given
  given = given + give(field.want_call, field.need_call, own + cancels)
  return given
end

-- How much of a window may be granted, in all and at once
local function grantable(before, window, after, field)
  local free = free_in(before, window, field.limit)
  -- If this server loses what it knows, the next window may get all that is under way, and what is kept for then.
  local most = field.limit - field.probe - (window.granted - window.done + window.spilt + carried(before, window))
  if after.there then  -- for some the next window has begun, and what is granted here may be used there
    most = math.min(most, free_in(window, after, field.limit) - field.probe)
  end
  -- A process tells of the oldest that the window can be, so no two differ about this for as long as all take to settle.
  local is_lapsed = field.age >= field.length - math.min(field.length / LAPSE, LONGEST_LAPSE)
  if window.sure == run then
    return free - (is_lapsed and 0 or field.probe), most
  elseif not is_settled then
    return free, 0
  elseif is_lapsed then
    return free, 0
  end
  -- One half the first time, of what is left a half the next: it may be lost again before a count comes.
  local part = window.level == 0 and math.ceil(field.probe / 2) or math.floor(field.probe / 2 ^ (window.level + 1))
  return free, math.min(most, part - window.probed)
end

-- How often some may have been granted of what is kept for after a loss
local function spent(window, free, field)
  if window.sure == run then return free >= field.probe and 0 or ALL end
  return is_settled and window.level + 1 or window.level
end

local function serve(name, field)
  local function key(window) return root .. ':' .. name .. ':' .. text(window) end
  local window, before, after = window_of(key(field.window)), window_of(key(field.window - 1)), window_of(key(field.window + 1))
  local held = window.holders[holder]
  if held and held.number >= number then return { text(held.granted), text(held.prior), '0', '0', '0', '0', '1', '0' } end
  -- Of a window that had begun before all had settled, nobody knows what was used.
  if since + settling <= now - field.age then window.sure = run end
  -- Of some limits no count ever tells. If nobody remembers another run, there was none.
  if is_settled and field.counted == 0 and boot.old == '0' then window.sure = run end
  -- Another run did not know it either, and may have granted some of what was kept for that.
  if heard ~= run then window.level = math.max(window.level, field.spent) end
  held = declare(window, field)
  correct(window, before, field)
  local free, most = grantable(before, window, after, field)
  local given = grant(window, held, field, free, most)
  if window.sure ~= run then window.probed = window.probed + given end
  local line = { number, held.granted, held.prior, held.done, held.spilt, held.own, since }
  for i, value in ipairs(line) do line[i] = text(value) end
  redis.call('HSET', key(field.window), 'h:' .. holder, table.concat(line, ' '), 'beyond', text(window.beyond),
    'calls', text(window.calls), 'foreign', text(window.foreign), 'alien', text(window.alien),
    'probed', text(window.probed), 'level', text(window.level), 'sure', window.sure or '')
  redis.call('PEXPIRE', key(field.window), text(2 * field.length + 60000))
  redis.call('HSET', root .. ':limits', name, text(field.limit))
  return {
    text(held.granted), text(held.prior), text(window.calls), text(window.done), text(given),
    text(math.max(0, free - given)), window.sure == run and '1' or '0', text(spent(window, free - given, field)),
  }
end

while position <= #ARGV do
  local name, field = ARGV[position], {}
  for i, what in ipairs(READ) do field[what] = tonumber(ARGV[position + i]) end
  position = position + 1 + #READ
  for _, part in ipairs(serve(name, field)) do reply[#reply + 1] = part end
end

-- The limits, for those who begin

each(root .. ':limits', function(name, limit)
  reply[#reply + 1] = name
  reply[#reply + 1] = limit
end)
redis.call('PEXPIRE', root .. ':limits', 86400000)
return reply
