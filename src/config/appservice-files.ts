import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import { parseRegistration, type AppserviceRegistration } from '../protocol/appservice-registration.js'
import type { ServerName } from '../protocol/ids.js'

/** A file is no registration; the message says what is wrong with it. */
export class RegistrationFileError extends Error {
  override readonly name = 'RegistrationFileError'
}

/** Reads one registration. Rejects with a `RegistrationFileError`. */
export async function readRegistrationFile(
  path: string,
  serverName: ServerName,
): Promise<AppserviceRegistration> {
  let raw: unknown
  try {
    raw = parse(await readFile(path, 'utf8'), { maxAliasCount: 100 })
  } catch (error) {
    throw new RegistrationFileError(`${path}: ${(error as Error).message}`)
  }
  const parsed = parseRegistration(raw, serverName)
  if ('problems' in parsed) throw new RegistrationFileError(`${path}: ${parsed.problems.join('; ')}`)
  return parsed.registration
}

/** Reads the registrations of several files. Rejects with a `RegistrationFileError`, for ones that clash too. */
export async function readRegistrationFiles(
  paths: readonly string[],
  serverName: ServerName,
): Promise<AppserviceRegistration[]> {
  const registrations: AppserviceRegistration[] = []
  for (const path of paths) {
    const registration = await readRegistrationFile(path, serverName)
    const clash = clashOf(registration, registrations)
    if (clash !== undefined) throw new RegistrationFileError(`${path}: ${clash}`)
    registrations.push(registration)
  }
  return registrations
}

/** Why a registration cannot stand beside others; undefined when it can. */
export function clashOf(
  registration: AppserviceRegistration,
  others: readonly AppserviceRegistration[],
): string | undefined {
  if (others.some(({ id }) => id === registration.id)) {
    return `there is another application service with the id ${registration.id}`
  }
  if (others.some(({ asToken }) => asToken === registration.asToken)) {
    return 'another application service has the same as_token'
  }
  return undefined
}
