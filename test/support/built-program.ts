import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { packageRoot } from '../../src/util/package-root.js'

/** Set by the test run for its workers: the directory of the program that it has built. */
const DIRECTORY_VARIABLE = 'MXHS_TEST_PROGRAM'

/** Builds the program of the sources as they are now, as it would be installed, for tests that run it. */
export async function buildProgram(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'mxhs-program-'))
  await promisify(execFile)(process.execPath, [join(packageRoot(), 'bin/build.js'), directory])
  process.env[DIRECTORY_VARIABLE] = directory
}

/** Removes what `buildProgram` has built. */
export async function removeProgram(): Promise<void> {
  const directory = process.env[DIRECTORY_VARIABLE]
  if (directory !== undefined) await rm(directory, { recursive: true, force: true })
}

/** What node is to run for `mxhs`: of the program that the test run has built, or of the last `npm run build`. */
export function builtProgram(): string {
  return join(process.env[DIRECTORY_VARIABLE] ?? packageRoot(), 'bin/run.js')
}
