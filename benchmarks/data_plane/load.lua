-- wrk's script: `wrk … -s load.lua URL -- UPLOAD_BYTES` sends requests with ids of a fixed seed, and
-- prints what came of them as one line of JSON. Times are in microseconds.

local IDS = 100 -- requests are made once and sent in turn, so that the client is cheap
local requests, turn = {}, 0

function init(arguments)
    local upload_bytes = tonumber(arguments[1])
    if upload_bytes > 0 then
        wrk.method = "POST"
        wrk.body = string.rep("x", upload_bytes)
    end
    math.randomseed(1729)
    for i = 1, IDS do
        wrk.headers["X-Request-ID"] = tostring(math.random(100000, 999999))
        requests[i] = wrk.format()
    end
end

function request()
    turn = turn % IDS + 1
    return requests[turn]
end

function done(summary, latency)
    local errors = summary.errors
    print(string.format(
        '{"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "p999_us": %d, ' ..
        '"errors": {"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}}',
        summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
        errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
