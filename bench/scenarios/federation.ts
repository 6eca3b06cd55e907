import type { Bench, Figures } from '../bench.js'
import { FederatedServers } from '../federation/federated-servers.js'
import { measureFederatedForks } from './federation-forks.js'
import { measureInboundTransactions } from './federation-inbound.js'
import { measureFederatedJoins } from './federation-joins.js'
import { measureFederatedMessages } from './federation-messages.js'

type Measure = (bench: Bench, servers: FederatedServers) => Promise<Figures>

/** What servers do with each other, each on servers of its own that are started for it. */
export const federationScenarios: Readonly<Record<string, (bench: Bench) => Promise<Figures>>> = {
  'federation-messages': (bench) => among(bench, measureFederatedMessages),
  'federation-joins': (bench) => among(bench, measureFederatedJoins),
  'federation-forks': (bench) => among(bench, measureFederatedForks),
  'federation-inbound': (bench) => among(bench, measureInboundTransactions),
}

async function among(bench: Bench, measure: Measure): Promise<Figures> {
  const { view } = bench
  if (view.createDatabase === undefined) {
    bench.notes.push('federation: only measured between servers that are started here')
    return {}
  }
  await using servers = await FederatedServers.create(() => view.createDatabase!())
  return await measure(bench, servers)
}
