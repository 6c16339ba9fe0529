// A migration of its own process, to be killed: transfer-run.mjs <from folder> <to folder> <journal>. Says each batch.
import { writeSync } from 'node:fs';
import { connect } from 'nearfield';
import { migrate } from 'nearfield/transfer';
import { embedded } from './transfer-stores.mjs';

const [fromFolder, toFolder, journal] = process.argv.slice(2);
const from = await connect({ config: embedded(fromFolder), environment: {} });
const to = await connect({ config: embedded(toFolder), environment: {} });
const onProgress = ({ phase, done }) => writeSync(1, `${phase} ${done}\n`);
const report = await migrate(from, to, { batch: 40, journal, onProgress });
await from.close();
await to.close();
writeSync(1, `report ${JSON.stringify(report)}\n`);
