import { isIP } from 'node:net'
import type { ServerName } from '../../protocol/ids.js'
import { readServerKeys, type ServerKeyDocument } from '../../protocol/server-keys.js'
import type { Clock } from '../../util/clock.js'
import { isJsonObject, type JsonValue } from '../../util/json.js'
import type { TlsSettings } from '../dialer.js'
import type { Dns } from '../dns.js'
import { toHttpFailure } from '../http-failure.js'
import type { IpPolicy } from '../ip-policy.js'
import { CertificateJudge } from './certificate-judge.js'
import type { CheckStep } from './check-step.js'
import type { FederationTransport } from './federation-transport.js'
import type { ServerResolution, ServerResolver, ServerTarget } from './server-resolver.js'

export interface ServerCheckDependencies {
  readonly dns: Dns
  readonly resolver: ServerResolver
  readonly policy: IpPolicy
  readonly tls: TlsSettings
  readonly transport: Pick<FederationTransport, 'request'>
  readonly clock: Pick<Clock, 'now' | 'setTimeout'>
}

/** What was found of a server. */
export interface ServerCheckResult {
  readonly steps: readonly CheckStep[]
  /** Undefined where they could not be had. */
  readonly keys: ServerKeyDocument | undefined
}

const TIMEOUT_MS = 15_000
const MAX_BYTES = 256 * 1024
const MAX_ADDRESSES = 10
const HOUR_MS = 60 * 60_000

/** Goes the way to a server step by step, as another server would, and says where it ends and why. */
export class ServerCheck {
  readonly #deps: ServerCheckDependencies

  constructor(deps: ServerCheckDependencies) {
    this.#deps = deps
  }

  async run(serverName: ServerName): Promise<ServerCheckResult> {
    const resolution = await this.#deps.resolver.resolve(serverName)
    const steps = [wellKnownStep(serverName, resolution), srvStep(resolution)]
    const found = await Promise.all(resolution.targets.map((target) => this.#findAddresses(target)))
    steps.push(...found.map(({ step }) => step))
    const places = found
      .flatMap(({ target, addresses }) => addresses.map((address) => ({ target, address })))
      .slice(0, MAX_ADDRESSES)
    const certificates = await this.#checkCertificates(places)
    steps.push(...certificates)
    if (!certificates.some(({ outcome }) => outcome === 'ok' || outcome === 'warning')) {
      steps.push(skipped('version'), skipped('keys'))
      return { steps, keys: undefined }
    }
    steps.push(await this.#checkVersion(serverName))
    const { step, keys } = await this.#checkKeys(serverName)
    return { steps: [...steps, step], keys }
  }

  async #findAddresses(
    target: ServerTarget,
  ): Promise<{ step: CheckStep; target: ServerTarget; addresses: readonly string[] }> {
    const { host } = target
    const nothing = { target, addresses: [] }
    try {
      const found = isIP(host) === 0 ? await this.#deps.dns.lookup(host) : [{ address: host }]
      const all = found.map(({ address }) => address)
      const addresses = all.filter((address) => this.#deps.policy.allows(address))
      const summary = `${host}, port ${target.port}: ${all.join(', ')}`
      const details = { host, port: target.port, addresses: all }
      if (addresses.length > 0) {
        return { target, addresses, step: { step: 'addresses', outcome: 'ok', summary, details } }
      }
      const step: CheckStep = {
        step: 'addresses',
        outcome: 'failed',
        summary,
        cause: 'all its addresses are in ip_range_blacklist, so this server does not talk to it',
        cure: 'put them into ip_range_whitelist if the server is one of your own network',
        details,
      }
      return { ...nothing, step }
    } catch (error) {
      const step: CheckStep = {
        step: 'addresses',
        outcome: 'failed',
        summary: `${host}: no address`,
        cause: toHttpFailure(error).message,
        cure: `there must be a record of type A or AAAA for ${host}, or the name that leads here must be another`,
        details: { host, port: target.port, addresses: [] },
      }
      return { ...nothing, step }
    }
  }

  async #checkCertificates(
    places: readonly { target: ServerTarget; address: string }[],
  ): Promise<CheckStep[]> {
    if (places.length === 0) return [skipped('certificate')]
    const judge = new CertificateJudge(this.#deps)
    const steps = await Promise.all(places.map(({ target, address }) => judge.judge(target, address)))
    const reachable = steps.some(({ outcome }) => outcome === 'ok' || outcome === 'warning')
    // Servers try all places: one will do, but each that does not costs time.
    return steps.map((step) =>
      reachable && step.outcome === 'failed' ? { ...step, outcome: 'warning' } : step,
    )
  }

  async #checkVersion(serverName: ServerName): Promise<CheckStep> {
    const answer = await this.#get(serverName, '/_matrix/federation/v1/version')
    if ('problem' in answer) {
      return {
        step: 'version',
        outcome: 'failed',
        summary: 'it does not answer /_matrix/federation/v1/version',
        cause: answer.problem,
        cure: 'whatever answers at that port must serve federation, or pass /_matrix on to what does',
      }
    }
    const server = isJsonObject(answer.json) ? answer.json['server'] : undefined
    const name = isJsonObject(server) ? textOf(server['name']) : ''
    const version = isJsonObject(server) ? textOf(server['version']) : ''
    const summary = name === '' ? 'it does not say what it is' : `${name} ${version}`
    return { step: 'version', outcome: 'ok', summary, details: { name, version } }
  }

  async #checkKeys(
    serverName: ServerName,
  ): Promise<{ step: CheckStep; keys: ServerKeyDocument | undefined }> {
    const answer = await this.#get(serverName, '/_matrix/key/v2/server')
    const keys = 'problem' in answer ? answer : readServerKeys(answer.json, serverName)
    if ('problem' in keys) {
      const step: CheckStep = {
        step: 'keys',
        outcome: 'failed',
        summary: 'nobody can verify what it signs',
        cause: keys.problem,
        cure: 'the server must publish its keys under its own name at /_matrix/key/v2/server',
      }
      return { step, keys: undefined }
    }
    const current = keys.keys.filter(({ isOld }) => !isOld).map(({ keyId }) => keyId)
    const until = new Date(keys.validUntilTs).toISOString()
    const isShort = keys.validUntilTs < this.#deps.clock.now() + HOUR_MS
    const step: CheckStep = {
      step: 'keys',
      outcome: isShort ? 'warning' : 'ok',
      summary: `${current.join(', ')}, valid until ${until}`,
      ...(isShort
        ? {
            cause: 'the keys are valid for less than an hour, or no more',
            cure: "set that server's clock, or its key_refresh_interval",
          }
        : {}),
      details: { keys: current, valid_until_ts: keys.validUntilTs },
    }
    return { step, keys }
  }

  async #get(serverName: ServerName, path: string): Promise<{ json: JsonValue } | { problem: string }> {
    try {
      const { status, body } = await this.#deps.transport.request({
        serverName,
        method: 'GET',
        path,
        headers: { Accept: 'application/json' },
        timeoutMs: TIMEOUT_MS,
        maxBytes: MAX_BYTES,
      })
      if (status !== 200) return { problem: `it answers with status ${status}` }
      return { json: JSON.parse(body.toString('utf8')) as JsonValue }
    } catch (error) {
      if (error instanceof SyntaxError) return { problem: 'it answers with something else than JSON' }
      return { problem: toHttpFailure(error).message }
    }
  }
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value.slice(0, 100) : ''
}

function skipped(step: CheckStep['step']): CheckStep {
  return { step, outcome: 'skipped', summary: 'not tried: nothing can be reached' }
}

function wellKnownStep(serverName: ServerName, { wellKnown }: ServerResolution): CheckStep {
  const step = 'well-known'
  if (wellKnown === undefined) {
    return { step, outcome: 'skipped', summary: `${serverName} says itself where it is` }
  }
  if (wellKnown.kind === 'delegated') {
    const { server } = wellKnown
    return { step, outcome: 'ok', summary: `delegates to ${server}`, details: { server } }
  }
  const { reason, status } = wellKnown
  if (status !== 200) return { step, outcome: 'ok', summary: `none: ${reason}`, details: { server: null } }
  return {
    step,
    outcome: 'warning',
    summary: 'there is one that does not count',
    cause: reason,
    cure: `https://${serverName}/.well-known/matrix/server should be {"m.server": "HOST:PORT"}`,
    details: { server: null },
  }
}

function srvStep({ srv, rule, targets }: ServerResolution): CheckStep {
  const step = 'srv'
  if (srv.length === 0) return { step, outcome: 'skipped', summary: 'not asked for: the port is known' }
  const details = { rule, targets: targets.map(({ host, port }) => `${host}:${port}`) }
  if (targets.length === 0) {
    return {
      step,
      outcome: 'failed',
      summary: 'the record says that there is no such service',
      cause: 'the target of the SRV record is "."',
      cure: 'name the host of the server in the record, or delete the record',
      details,
    }
  }
  // Of what comes after the record that counts it does not matter.
  const asked = rule.endsWith('deprecated srv') ? srv.slice(0, 1) : rule.endsWith('srv') ? [] : srv
  const failed = asked.find(({ failure }) => failure !== undefined)
  if (failed !== undefined) {
    return {
      step,
      outcome: 'warning',
      summary: `${failed.name} could not be asked for, which counts as no record`,
      cause: `the name servers answer ${failed.failure ?? ''}`,
      cure: 'look at the name servers of the domain, or at those of this machine',
      details,
    }
  }
  if (rule.endsWith('deprecated srv')) {
    return {
      step,
      outcome: 'warning',
      summary: `_matrix._tcp: ${details.targets.join(', ')}`,
      cause: '_matrix._tcp is deprecated',
      cure: 'publish the record as _matrix-fed._tcp',
      details,
    }
  }
  const summary = rule.endsWith('srv') ? `_matrix-fed._tcp: ${details.targets.join(', ')}` : 'none: port 8448'
  return { step, outcome: 'ok', summary, details }
}
