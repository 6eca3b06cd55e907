import type { DoctorCheck, DoctorContext } from '../../src/cli/doctor/doctor-check.js'
import type { Finding } from '../../src/cli/doctor/finding.js'
import type { Dns } from '../../src/net/dns.js'
import { HttpFailure, type HttpClient, type HttpReply } from '../../src/net/http-client.js'
import { systemClock } from '../../src/util/clock.js'
import { loadKeys } from './load-config.js'

/** What a fake of the network answers: a status, headers and a body; undefined: nothing is there. */
export type FakeAnswers = (url: string) => (Partial<Omit<HttpReply, 'body'>> & { body?: string }) | undefined

/** Names and what they lead to. */
export function fakeDns(addresses: Readonly<Record<string, readonly string[]>>): Dns {
  return {
    lookup(name) {
      const found = addresses[name]
      if (found === undefined) return Promise.reject(Object.assign(new Error('none'), { code: 'ENOTFOUND' }))
      return Promise.resolve(found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })))
    },
    resolveSrv: () => Promise.resolve([]),
  }
}

function fakeHttp(answers: FakeAnswers): Pick<HttpClient, 'request'> {
  return {
    request({ url }) {
      const answer = answers(url)
      if (answer === undefined) return Promise.reject(new HttpFailure('unreachable', 'connection refused'))
      const { status = 200, headers = {}, body = '' } = answer
      return Promise.resolve({ status, headers, body: Buffer.from(body) })
    },
  }
}

/** What a check sees that knows nothing but a configuration and what is given. */
export async function doctorContext(
  keys: object,
  given: Partial<Omit<DoctorContext, 'network' | 'http'>> & {
    readonly dns?: Dns
    /** By URL, of everybody. */
    readonly answers?: FakeAnswers
    /** By server name and path. */
    readonly servers?: FakeAnswers
  } = {},
): Promise<DoctorContext> {
  const { config, warnings } = await loadKeys(keys)
  const { dns = fakeDns({}), answers = () => undefined, servers = () => undefined, ...rest } = given
  const transport = fakeHttp(servers)
  return {
    ...{ config, warnings, files: [], version: 'mxhs 0.0.0', clock: systemClock, server: undefined },
    tls: { verify: true },
    http: fakeHttp(answers) as DoctorContext['http'],
    database: () => Promise.resolve(undefined),
    network: {
      http: fakeHttp(answers),
      dialing: { dns },
      transport: {
        request: ({ serverName, path }: { serverName: string; path: string }) =>
          transport.request({ method: 'GET', url: `${serverName}${path}` }),
      },
    } as unknown as DoctorContext['network'],
    ...rest,
  }
}

/** Levels and summaries of what a check finds. */
export async function findings(check: DoctorCheck, context: DoctorContext): Promise<string[]> {
  return shown(await check.run(context))
}

export function shown(found: readonly Pick<Finding, 'level' | 'summary'>[]): string[] {
  return found.map(({ level, summary }) => `${level}: ${summary}`)
}
