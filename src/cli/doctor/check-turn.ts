import { createHmac } from 'node:crypto'
import type { HomeserverConfig } from '../../config/homeserver-config.js'
import { parseTurnUri, probeTurn, TurnFailure, type TurnCredentials } from '../../net/clients/turn-probe.js'
import type { DoctorCheck, DoctorContext } from './doctor-check.js'
import { failure, info, ok, warning, type Finding } from './finding.js'

const LIFETIME_S = 300

/** Whether relays for calls can be reached, and accept what clients are given. */
export const checkTurn: DoctorCheck = {
  name: 'turn',
  summary: 'the relays for calls, and whether they accept the credentials',
  usesNetwork: true,
  async run(context) {
    const { uris } = context.config.turn
    if (uris.length === 0) {
      return [
        info('turn_uris names no relay', {
          consequence: 'calls between people behind different routers fail',
          cure: 'run a TURN server such as coturn and name it in turn_uris, with turn_shared_secret',
        }),
      ]
    }
    const credentials = credentialsOf(context)
    const findings = await Promise.all(uris.map((uri) => tryRelay(context, uri, credentials)))
    if (credentials !== undefined) return findings
    return [
      failure('there are relays, and neither turn_shared_secret nor turn_username with turn_password', {
        consequence: 'clients are not told of the relays, and calls behind routers fail',
        cure: 'turn_shared_secret: what static-auth-secret says in turnserver.conf',
      }),
      ...findings,
    ]
  },
}

function credentialsOf({ config, clock }: DoctorContext): TurnCredentials | undefined {
  const { sharedSecret, username, password }: HomeserverConfig['turn'] = config.turn
  if (sharedSecret !== undefined) {
    // As the server makes them: https://datatracker.ietf.org/doc/html/draft-uberti-behave-turn-rest-00
    const name = `${Math.floor(clock.now() / 1000) + LIFETIME_S}:@mxhs-doctor:${config.server.serverName}`
    return { username: name, password: createHmac('sha1', sharedSecret).update(name).digest('base64') }
  }
  return username === undefined || password === undefined ? undefined : { username, password }
}

async function tryRelay(
  { clock, tls, network }: DoctorContext,
  uri: string,
  credentials: TurnCredentials | undefined,
): Promise<Finding> {
  const parsed = parseTurnUri(uri)
  if (parsed === undefined) {
    return failure(`${uri} is no URI of a relay`, {
      consequence: 'clients cannot use it',
      cure: 'turn_uris: ["turn:turn.example.org?transport=udp", "turn:turn.example.org?transport=tcp"]',
    })
  }
  try {
    await probeTurn(parsed, credentials, { clock, tls, dns: network.dialing.dns })
    return ok(`${uri} answers${credentials === undefined ? '' : ' and accepts the credentials'}`)
  } catch (error) {
    if (!(error instanceof TurnFailure)) throw error
    const summary = `${uri}: ${error.message}`
    const { transport, port } = parsed
    if (error.stage === 'reach') {
      return failure(summary, {
        consequence: 'calls do not go this way',
        cure: `start the relay, and let the firewall pass ${transport === 'udp' ? 'udp' : 'tcp'} port ${port}`,
      })
    }
    if (error.stage === 'relay') {
      return warning(summary, {
        consequence: 'calls do not go this way',
        cure: 'look into the log of the relay: its ports for relaying may be used up or not open',
      })
    }
    return failure(summary, {
      consequence: 'calls fail where a relay is needed',
      cure: 'static-auth-secret (with use-auth-secret) in turnserver.conf must be what turn_shared_secret says',
    })
  }
}
