import { existsSync } from 'node:fs'
import { UsageError } from './failures.js'

const DEFAULT_PATH = 'homeserver.yaml'

/** The files that `-c` names, or `homeserver.yaml` in the current directory. Throws a `UsageError` if there is none. */
export function configPaths(given: readonly string[] | undefined): readonly string[] {
  const paths = givenOrDefault(given)
  if (paths === undefined) {
    throw new UsageError(`There is no ${DEFAULT_PATH} here: name the configuration with -c FILE`)
  }
  return paths
}

/** As `configPaths`, where it can do without. */
export function givenOrDefault(given: readonly string[] | undefined): readonly string[] | undefined {
  if (given !== undefined && given.length > 0) return given
  return existsSync(DEFAULT_PATH) ? [DEFAULT_PATH] : undefined
}
