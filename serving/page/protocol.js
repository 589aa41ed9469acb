/* Bytes of the Open Inference Protocol with Triton's binary extension. */

/** End of the names of models that take and give picture files. */
export const SUFFIX = "_bytes";

/** Answer that does not follow the protocol. */
export class UnreadableAnswer extends Error {}

const LENGTH = 4; // bytes of the length before each element of BYTES, little-endian

/**
 * Make the request for a picture file.
 *
 * @param {Blob} file picture file; it is not copied.
 * @param {{format: "png" | "input", outputs: string[]}} wish format of the restored file, and the outputs to send.
 * @returns {{body: Blob, headers: Record<string, string>}}
 */
export function packRequest(file, { format, outputs }) {
  const head = new TextEncoder().encode(
    JSON.stringify({
      parameters: { format },
      inputs: [
        { name: "image", datatype: "BYTES", shape: [1], parameters: { binary_data_size: LENGTH + file.size } },
      ],
      outputs: outputs.map((name) => ({ name, parameters: { binary_data: true } })),
    }),
  );
  const length = new DataView(new ArrayBuffer(LENGTH));
  length.setUint32(0, file.size, true);
  return {
    body: new Blob([head, length.buffer, file]),
    headers: {
      "Content-Type": "application/octet-stream",
      "Inference-Header-Content-Length": String(head.length),
    },
  };
}

/**
 * Read an answer.
 *
 * @param {ArrayBuffer} buffer body of the answer.
 * @param {string | null} headLength value of Inference-Header-Content-Length; null if all of the body is JSON.
 * @returns {{outputs: Map<string, Uint8Array | number[]>, parameters: Record<string, unknown>}} elements of BYTES as
 *   bytes (the first element), numbers as a list.
 * @throws {UnreadableAnswer}
 */
export function parseAnswer(buffer, headLength) {
  const length = headLength === null ? buffer.byteLength : Number(headLength);
  if (!Number.isInteger(length) || length < 0 || length > buffer.byteLength) {
    throw new UnreadableAnswer(`its header is said to have ${headLength} of ${buffer.byteLength} bytes`);
  }
  const head = parseHead(new Uint8Array(buffer, 0, length));
  const outputs = new Map();
  let place = length;
  for (const output of head.outputs) {
    const size = output.parameters?.binary_data_size;
    if (size === undefined) {
      outputs.set(output.name, output.data ?? []);
      continue;
    }
    if (!Number.isInteger(size) || size < 0 || place + size > buffer.byteLength) {
      throw new UnreadableAnswer(`the output ${output.name} ends after the last byte`);
    }
    outputs.set(output.name, readRaw(output, new DataView(buffer, place, size)));
    place += size;
  }
  if (place !== buffer.byteLength) {
    throw new UnreadableAnswer(`${buffer.byteLength - place} bytes belong to no output`);
  }
  return { outputs, parameters: head.parameters ?? {} };
}

function parseHead(bytes) {
  let head;
  try {
    head = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new UnreadableAnswer("its header is not JSON");
  }
  if (!Array.isArray(head?.outputs)) throw new UnreadableAnswer("its header names no outputs");
  return head;
}

function readRaw(output, view) {
  if (output.datatype === "FP32") {
    if (view.byteLength % 4) throw new UnreadableAnswer(`the output ${output.name} is no list of FP32`);
    return Array.from({ length: view.byteLength / 4 }, (_, index) => view.getFloat32(4 * index, true));
  }
  if (output.datatype !== "BYTES") {
    throw new UnreadableAnswer(`the output ${output.name} is ${output.datatype}, expected BYTES or FP32`);
  }
  const size = view.byteLength < LENGTH ? -1 : view.getUint32(0, true);
  if (size !== view.byteLength - LENGTH) {
    throw new UnreadableAnswer(`the output ${output.name} is not one whole file`);
  }
  return new Uint8Array(view.buffer, view.byteOffset + LENGTH, size);
}

/** Kinds of picture files by their first bytes, as Latin-1 text: name, ending, media type, pattern. */
const KINDS = [
  ["PNG", "png", "image/png", /^\x89PNG\r\n\x1a\n/],
  ["JPEG", "jpg", "image/jpeg", /^\xff\xd8\xff/],
  ["WebP", "webp", "image/webp", /^RIFF[^]{4}WEBP/],
  ["TIFF", "tif", "image/tiff", /^(II[*+]\0|MM\0[*+])/],
  ["GIF", "gif", "image/gif", /^GIF8/],
  ["AVIF", "avif", "image/avif", /^[^]{4}ftypavi[fs]/],
];

/** Number of bytes from which `recognise` tells the kind. */
export const SIGNATURE = 16;

/**
 * Tell the kind of a picture file.
 *
 * @param {Uint8Array} bytes its first bytes.
 * @returns {{name: string, ending: string, type: string} | null} null for a file of another kind.
 */
export function recognise(bytes) {
  const text = String.fromCharCode(...bytes.subarray(0, SIGNATURE));
  const found = KINDS.find(([, , , pattern]) => pattern.test(text));
  return found ? { name: found[0], ending: found[1], type: found[2] } : null;
}

/**
 * Read the size of a PNG.
 *
 * Browsers may scale a picture by its resolution, so they are not asked.
 *
 * @param {Uint8Array} bytes
 * @returns {{width: number, height: number}} pixels.
 * @throws {UnreadableAnswer} it is no PNG.
 */
export function measurePng(bytes) {
  if (bytes.length < 24 || recognise(bytes)?.name !== "PNG") throw new UnreadableAnswer("the restored file is no PNG");
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return { width: view.getUint32(16), height: view.getUint32(20) };
}
