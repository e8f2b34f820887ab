// Some answers of DynamoDB may be late by design: reads of a global index, a table's status, records of a stream.

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";

/** Asks again until `isRight(answer)`, and returns that answer. Fails after so many seconds, and shows the last one. */
export async function eventually(ask, isRight, secondsMax = 30) {
  const deadline = Date.now() + secondsMax * 1000;
  for (let pauseMs = 5; ; pauseMs = Math.min(pauseMs * 2, 1000)) {
    const answer = await ask();
    if (isRight(answer)) return answer;
    assert.ok(Date.now() < deadline, `still not after ${secondsMax} s: ${JSON.stringify(answer)}`);
    await pause(pauseMs);
  }
}
