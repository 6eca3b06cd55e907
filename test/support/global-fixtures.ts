import { buildProgram, removeProgram } from './built-program.js'
import { startPostgres, stopPostgres } from './databases.js'

/** Before all test files, in the process that starts the workers. */
export async function mochaGlobalSetup(): Promise<void> {
  await Promise.all([buildProgram(), startPostgres()])
}

/** After all test files. */
export async function mochaGlobalTeardown(): Promise<void> {
  await Promise.all([removeProgram(), stopPostgres()])
}
