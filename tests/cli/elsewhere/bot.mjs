// A bot in another language: it reads what `bintrio sandbox --json` printed, signs and places an order over a WebSocket
// of its own, and drives the sandbox by its control. It prints what it was told, as one line of JSON.
import { createHmac } from "node:crypto";
import { request } from "node:http";

const made = JSON.parse(process.argv[2]);
const key = made.accounts[0].keys.find((key) => key.type === "HMAC");

async function control(method, path, body) {
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(made.control + path, { method, headers, body: body && JSON.stringify(body) });
  return { status: answer.status, told: await answer.json() };
}

function connect() {
  const headers = {
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
  };
  return new Promise((resolve, reject) => {
    request(made.endpoint.replace("ws:", "http:"), { headers })
      .on("upgrade", (_response, socket) => resolve(socket))
      .on("error", reject)
      .end();
  });
}

function frame(text) {
  const data = Buffer.from(text);
  const head = Buffer.from([0x81, 0x80 | 126, data.length >> 8, data.length & 0xff, 0, 0, 0, 0]); // a mask of zeros
  return Buffer.concat([head, data]);
}

// The next text message. The sandbox sends each in one frame, and what is tested here is shorter than 64 KiB.
function message(socket) {
  let had = Buffer.alloc(0);
  return new Promise((resolve) => {
    socket.on("data", (data) => {
      had = Buffer.concat([had, data]);
      const head = had.length > 1 && had[1] === 126 ? 4 : 2;
      const length = head === 4 && had.length > 3 ? had.readUInt16BE(2) : had[1];
      if (had.length >= head + length) resolve(JSON.parse(had.subarray(head, head + length).toString()));
    });
  });
}

async function place(time) {
  const params = {
    apiKey: key.api_key,
    symbol: "BTCUSDT",
    side: "BUY",
    type: "LIMIT",
    timeInForce: "GTC",
    price: "40000",
    quantity: "0.01",
    timestamp: time,
  };
  const payload = Object.keys(params).sort().map((name) => `${name}=${params[name]}`).join("&");
  params.signature = createHmac("sha256", key.secret).update(payload).digest("hex");
  const socket = await connect();
  socket.write(frame(JSON.stringify({ id: 1, method: "order.place", params })));
  const answer = await message(socket);
  socket.destroy();
  return answer;
}

const quoted = await control("POST", "/quote", { symbol: "BTCUSDT", bid: 50000, ask: 50001, quantity: 2 });
const before = (await control("GET", "/state")).told.time;
const advanced = await control("POST", "/advance", { seconds: 3600 });
const placed = await place((await control("GET", "/state")).told.time);
const filled = await control("POST", "/fill", { order: placed.result.orderId });
const orders = await control("GET", "/orders");
const wrong = await control("POST", "/deposit", { asset: "BTC" });
console.log(JSON.stringify({ quoted, before, advanced, placed, filled, orders, wrong }));
