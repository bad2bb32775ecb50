// A camera in another language: streams one picture many times and prints, as JSON, what came back.
//
//   node camera.mjs depth.proto HOST:PORT POLICY FRAMES photo.jpg
//
// Nothing of Fathom's is built in: the contract is read from the proto at run time.
import { once } from "node:events";
import { readFileSync } from "node:fs";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const [protoPath, target, policy, frames, picturePath] = process.argv.slice(2);
const data = readFileSync(picturePath);
const definition = protoLoader.loadSync(protoPath, {
  keepCase: true,
  longs: Number,
  enums: String,
  defaults: true,
  oneofs: true,
});
const { Depth } = grpc.loadPackageDefinition(definition).fathom.v1;

const client = new Depth(target, grpc.credentials.createInsecure());
const call = client.Stream();
const ended = once(call, "end");
const seen = { opened: null, seqs: [], outcomes: {}, depths: {}, closing: null, after_closing: 0 };

function count(table, name) {
  table[name] = (table[name] ?? 0) + 1;
}

call.on("data", (reply) => {
  if (seen.closing) seen.after_closing += 1;
  if (reply.message === "opened") seen.opened = reply.opened;
  if (reply.message === "closing") seen.closing = reply.closing;
  if (reply.message !== "answer") return;
  const { seq, outcome, depth, skipped, failed } = reply.answer;
  seen.seqs.push(seq);
  if (outcome === "depth") {
    count(seen.outcomes, "answered");
    count(seen.depths, `${depth.encoding} ${depth.width}x${depth.height} ${depth.data.length}`);
  } else if (outcome === "skipped") {
    count(seen.outcomes, skipped.reason.replace("SKIP_REASON_", "skipped_").toLowerCase());
  } else {
    count(seen.outcomes, `failed_${failed.code}`);
  }
});

async function send(message) {
  if (!call.write(message)) await once(call, "drain");
}

await send({ open: { policy, stream_name: "node" } });
for (let seq = 1; seq <= Number(frames); seq += 1) {
  await send({ frame: { seq, image: { encoding: "IMAGE_ENCODING_JPEG", data } } });
}
call.end();
await ended;
client.close();
console.log(JSON.stringify(seen));
