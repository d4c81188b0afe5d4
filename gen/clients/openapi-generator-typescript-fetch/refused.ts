import assert from 'node:assert/strict';
import { type Problem, ProblemFromJSON, ResponseError } from './generated';

// refused is the problem that a call is refused with. The generated error holds the undecoded response and knows
// nothing of the document; the generated ProblemFromJSON gives its body a type, as it does inside for successes.
export async function refused(call: Promise<unknown>): Promise<Problem> {
  try {
    await call;
  } catch (error) {
    if (error instanceof ResponseError) {
      assert.equal(error.response.headers.get('Content-Type'), 'application/problem+json');
      return ProblemFromJSON(await error.response.json());
    }
    throw error;
  }
  throw new Error('this was not refused');
}
