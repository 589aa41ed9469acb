/* Endless answer whose parts replace each other. */

import { UnreadableAnswer } from "./protocol.js";

const LONGEST_HEAD = 4096; // bytes

/**
 * Read the parts of an answer one by one; while nobody asks for the next, the server sends no more.
 *
 * @param {ReadableStream<Uint8Array>} stream body of the answer.
 * @yields {{headers: Map<string, string>, content: Uint8Array}} names of headers are in lower case.
 */
export async function* readParts(stream) {
  const source = new Source(stream);
  try {
    for (let head = await source.readHead(); head; head = await source.readHead()) {
      const headers = parseHead(head);
      const length = Number(headers.get("content-length"));
      if (!Number.isInteger(length) || length < 0) throw new UnreadableAnswer("a frame has no length");
      yield { headers, content: await source.take(length) };
      await source.take(2); // the end of the line
    }
  } finally {
    await source.cancel();
  }
}

class Source {
  constructor(stream) {
    this.reader = stream.getReader();
    this.bytes = new Uint8Array(0);
  }

  /** Read up to an empty line; null after the last part. */
  async readHead() {
    for (;;) {
      const end = findEnd(this.bytes);
      if (end >= 0) return new TextDecoder().decode((await this.take(end + 4)).subarray(0, end));
      if (this.bytes.length > LONGEST_HEAD) throw new UnreadableAnswer("a frame has no head");
      if (!(await this.fill())) return null;
    }
  }

  async take(count) {
    while (this.bytes.length < count) {
      if (!(await this.fill())) throw new UnreadableAnswer("a frame is cut short");
    }
    const taken = this.bytes.slice(0, count);
    this.bytes = this.bytes.subarray(count);
    return taken;
  }

  async fill() {
    const { done, value } = await this.reader.read();
    if (done) return false;
    const joined = new Uint8Array(this.bytes.length + value.length);
    joined.set(this.bytes);
    joined.set(value, this.bytes.length);
    this.bytes = joined;
    return true;
  }

  async cancel() {
    await this.reader.cancel().catch(() => {}); // it may have failed before
  }
}

function findEnd(bytes) {
  for (let place = 0; place + 3 < bytes.length; place++) {
    if (bytes[place] === 13 && bytes[place + 1] === 10 && bytes[place + 2] === 13 && bytes[place + 3] === 10) return place;
  }
  return -1;
}

function parseHead(head) {
  const lines = head.split("\r\n").slice(1); // the first one is the boundary
  return new Map(lines.map((line) => [line.split(":")[0].toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]));
}
