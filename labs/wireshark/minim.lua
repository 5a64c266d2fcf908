-- minim in Wireshark: hello, frames in their four parts with direction and number, the sealed HTTP port, datagrams.
--
-- How to use it: labs/wireshark/README.md. What the parts are: PROTOCOL.md, 2, 3 and 6. Nothing is decrypted here:
-- `minim tap` does that.

local MAGIC = "MINIM/1\n"
local LENGTH, IV, MAC = 4, 8, 16 -- bytes
local MAX_FRAME = 1024 * 1024

local minim = Proto("minim", "minim")
local datagram = Proto("minimudp", "minim datagram")

local f = {
    hello = ProtoField.string("minim.hello", "Hello"),
    client_nonce = ProtoField.bytes("minim.clientNonce", "clientNonce"),
    server_nonce = ProtoField.bytes("minim.serverNonce", "serverNonce"),
    proof = ProtoField.bytes("minim.proof", "proof"),
    direction = ProtoField.string("minim.direction", "Direction"),
    sequence = ProtoField.uint32("minim.sequence", "Sequence number (not sent)"),
    length = ProtoField.uint32("minim.length", "length"),
    iv = ProtoField.bytes("minim.iv", "IV"),
    ciphertext = ProtoField.bytes("minim.ciphertext", "ciphertext"),
    mac = ProtoField.bytes("minim.mac", "MAC"),
}
minim.fields = f
-- What stands behind MAGIC: field and bytes of each part.
local HELLO = {
    client = { { f.client_nonce, 16 } },
    server = { { f.server_nonce, 16 }, { f.proof, 16 } },
}
local bad_length = ProtoExpert.new("minim.length.bad", "length is no multiple of 8 from 32 to 1 MiB",
    expert.group.MALFORMED, expert.severity.ERROR)
minim.experts = { bad_length }

minim.prefs.chat_port = Pref.uint("Chat port", 8888, "--chatPort of the server")
minim.prefs.tap_port = Pref.uint("Tap port", 8887, "--tapPort of minim tap")
minim.prefs.http_port = Pref.uint("HTTP port", 8080, "--httpPort of the server")
minim.prefs.udp_port = Pref.uint("UDP port", 8889, "--udpPort of the server")

local stream_of = Field.new("tcp.stream")
local next_number = {} -- by stream and direction: the number of the next frame
local numbers = {}     -- by stream, direction and MAC: the number that a frame got at the first look
local sealed = {}      -- streams of the HTTP port that began with a hello

function minim.init()
    next_number, numbers, sealed = {}, {}, {}
end

-- Bytes that a piece still needs; 0: it is whole, and `size` bytes long.
local function missing(tvb, offset, size)
    return math.max(0, offset + size - tvb:len())
end

-- One hello: MAGIC and its parts.
local function hello(tvb, offset, pinfo, tree, from_server)
    local parts = from_server and HELLO.server or HELLO.client
    local size = #MAGIC
    for _, part in ipairs(parts) do size = size + part[2] end
    if missing(tvb, offset, size) > 0 then return 0, missing(tvb, offset, size) end
    local shown = tree:add(minim, tvb(offset, size), "minim hello, " .. size .. " bytes")
    shown:add(f.hello, tvb(offset, #MAGIC), MAGIC:sub(1, -2))
    local place = offset + #MAGIC
    for _, part in ipairs(parts) do
        shown:add(part[1], tvb(place, part[2]))
        place = place + part[2]
    end
    pinfo.cols.info:append(" hello")
    return size, 0
end

-- One frame: length, IV, ciphertext, MAC. The number is counted, as both ends do: it is in no packet.
local function frame(tvb, offset, pinfo, tree, from_server, stream)
    if missing(tvb, offset, LENGTH) > 0 then return 0, DESEGMENT_ONE_MORE_SEGMENT end
    local length = tvb(offset, LENGTH):uint()
    if length < IV + 8 + MAC or length % 8 ~= 0 or length > MAX_FRAME then
        local part = tree:add(minim, tvb(offset, LENGTH), "minim: no frame")
        part:add_proto_expert_info(bad_length)
        return tvb:len() - offset, 0
    end
    local size = LENGTH + length
    if missing(tvb, offset, size) > 0 then return 0, missing(tvb, offset, size) end

    local direction = from_server and "server" or "client"
    local key = stream .. direction
    local mac = key .. tvb:raw(offset + size - MAC, MAC) -- no two frames have the same, and Wireshark asks more than once
    if not numbers[mac] then
        numbers[mac] = next_number[key] or 0
        next_number[key] = numbers[mac] + 1
    end
    local number = numbers[mac]
    local title = string.format("minim frame %d from the %s, %d bytes", number, direction, size)
    local part = tree:add(minim, tvb(offset, size), title)
    part:add(f.direction, direction):set_generated()
    part:add(f.sequence, number):set_generated()
    part:add(f.length, tvb(offset, LENGTH))
    part:add(f.iv, tvb(offset + LENGTH, IV))
    part:add(f.ciphertext, tvb(offset + LENGTH + IV, length - IV - MAC))
    part:add(f.mac, tvb(offset + size - MAC, MAC))
    pinfo.cols.info:append(string.format(" frame %d", number))
    return size, 0
end

-- All that a segment, or several put together, holds: hello and frames, one behind the other.
local function dissect(tvb, pinfo, tree, from_server, stream)
    pinfo.cols.protocol = "minim"
    pinfo.cols.info = from_server and "server:" or "client:"
    local offset = 0
    while offset < tvb:len() do
        local start = tvb:raw(offset, math.min(#MAGIC, tvb:len() - offset))
        local size, wanted
        if start == MAGIC then
            size, wanted = hello(tvb, offset, pinfo, tree, from_server)
        elseif start == MAGIC:sub(1, #start) then
            size, wanted = 0, DESEGMENT_ONE_MORE_SEGMENT -- it may become a hello
        else
            size, wanted = frame(tvb, offset, pinfo, tree, from_server, stream)
        end
        if wanted > 0 then
            pinfo.desegment_offset, pinfo.desegment_len = offset, wanted
            return
        end
        offset = offset + size
    end
end

function minim.dissector(tvb, pinfo, tree)
    local prefs = minim.prefs
    local stream = tostring(stream_of().value) .. " "
    local is_http = pinfo.src_port == prefs.http_port or pinfo.dst_port == prefs.http_port
    local from_server = pinfo.src_port == prefs.chat_port or pinfo.src_port == prefs.tap_port
        or pinfo.src_port == prefs.http_port
    if is_http and sealed[stream] == nil then
        local start = tvb:raw(0, math.min(#MAGIC, tvb:len()))
        if start == MAGIC:sub(1, #start) and #start < #MAGIC then
            pinfo.desegment_offset, pinfo.desegment_len = 0, DESEGMENT_ONE_MORE_SEGMENT
            return
        end
        sealed[stream] = start == MAGIC
    end
    if is_http and not sealed[stream] then
        return Dissector.get("http"):call(tvb, pinfo, tree) -- plain HTTP is not ours
    end
    dissect(tvb, pinfo, tree, from_server, stream)
end

function datagram.dissector(tvb, pinfo, tree)
    pinfo.cols.protocol = "minim"
    tree:add(datagram, tvb(), "minim datagram, " .. tvb:len() .. " bytes of JSON")
    Dissector.get("json"):call(tvb, pinfo, tree)
end

local registered = {}

-- Where the preferences say; at the start, and when they change.
local function register()
    for _, place in ipairs(registered) do
        DissectorTable.get(place[1]):remove(place[2], place[3])
    end
    local prefs = minim.prefs
    registered = {
        { "tcp.port", prefs.chat_port, minim },
        { "tcp.port", prefs.tap_port, minim },
        { "tcp.port", prefs.http_port, minim },
        { "udp.port", prefs.udp_port, datagram },
    }
    for _, place in ipairs(registered) do
        DissectorTable.get(place[1]):add(place[2], place[3])
    end
end

minim.prefs_changed = register
register()
