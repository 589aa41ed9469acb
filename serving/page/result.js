/* Result of a job, in figures and with its downloads. */

import { describeDensity, nameRestored, nameStage, writeMilliseconds, writePercent } from "./words.js";

/** Formats besides PNG that the server writes. */
const WRITTEN = ["JPEG", "WebP", "TIFF"];

const byId = (id) => document.getElementById(id);

/** Show the result of a job that is done. */
export function showResult(photo, { result, addresses }) {
  byId("density").textContent = writePercent(result.density);
  byId("meaning").textContent = describeDensity(result.density);
  byId("png").href = addresses.after;
  byId("png").download = nameRestored(photo.name, "png");
  const kind = photo.kind?.name ?? "";
  byId("original").hidden = !WRITTEN.includes(kind);
  byId("original").textContent = `Download ${kind}`;
  showTimes(result);
}

/** Show the time as the person waited it, and what the server spent it on. */
function showTimes({ total, milliseconds }) {
  byId("total").textContent = writeMilliseconds(total);
  const stages = [...milliseconds].filter(([stage]) => stage !== "compute"); // the sum of the others
  const longest = Math.max(...stages.map(([, value]) => value), Number.MIN_VALUE);
  byId("stages").replaceChildren(...stages.map(([stage, value]) => makeRow(stage, value, value / longest)));
}

function makeRow(stage, value, share) {
  const row = document.createElement("tr");
  const name = document.createElement("th");
  name.scope = "row";
  name.textContent = nameStage(stage);
  const time = document.createElement("td");
  time.textContent = writeMilliseconds(value);
  row.dataset.stage = stage;
  row.style.setProperty("--share", String(share));
  row.append(name, time);
  return row;
}
