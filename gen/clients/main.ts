// Makes the journey with the client of the folder that it is started in.
import { connect } from '#adapter';
import { journey } from './journey.ts';
import { liveStage } from './stage.ts';

try {
  await journey(connect, liveStage());
} catch (error) {
  // One line, because run.mjs shows the last one in its table.
  console.error(error instanceof Error ? (error.stack ?? error.message) : error);
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
