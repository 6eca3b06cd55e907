import { HttpResponse } from '../../http/responses.js'
import { route } from '../../http/route.js'

/** Each version by itself: clients look for the exact string of the one they need. */
const VERSIONS = [
  'r0.0.1',
  'r0.1.0',
  'r0.2.0',
  'r0.3.0',
  'r0.4.0',
  'r0.5.0',
  'r0.6.0',
  'r0.6.1',
  'v1.1',
  'v1.2',
  'v1.3',
  'v1.4',
  'v1.5',
  'v1.6',
  'v1.7',
  'v1.8',
  'v1.9',
  'v1.10',
  'v1.11',
  'v1.12',
  'v1.13',
  'v1.14',
  'v1.15',
  'v1.16',
  'v1.17',
  'v1.18',
  'v1.19',
]

/** Flags that clients still look for though the feature has a version by now; only what is served. */
const FEATURES: Readonly<Record<string, boolean>> = {
  // Fields of profiles beyond name and avatar: v1.16, read by Element and the bridges.
  'uk.tcpip.msc4133': true,
  'uk.tcpip.msc4133.stable': true,
  // v1.1, but Element sets up encryption after a login only where it finds the flag.
  'org.matrix.e2e_cross_signing': true,
  'org.matrix.label_based_filtering': true,
  'org.matrix.msc2432': true,
  // Private receipts, threads with their own counts and receipts, and recursive relations: v1.4 and v1.10.
  'org.matrix.msc2285.stable': true,
  'org.matrix.msc3440.stable': true,
  'org.matrix.msc3771': true,
  'org.matrix.msc3773': true,
  'org.matrix.msc3981': true,
  // What a first sync gives of a room is in the order of its graph.
  'org.matrix.msc4445.initial_sync_timeline_topological_ordering': true,
  // Finding rooms by type, and jumping to a date: v1.4 and v1.6.
  'org.matrix.msc3827.stable': true,
  'org.matrix.msc3030.stable': true,
  // Files that are announced before they come, and that are shown only to those with a token: v1.7 and v1.11.
  'fi.mau.msc2246.stable': true,
  'org.matrix.msc3916.stable': true,
  // Mutual rooms: v1.19.
  'uk.half-shot.msc2666.query_mutual_rooms': true,
  'uk.half-shot.msc2666.query_mutual_rooms.stable': true,
  // Reporting rooms, and locking and suspending accounts: v1.13 and v1.18.
  'org.matrix.msc4151': true,
  'uk.timedout.msc4323': true,
  'uk.timedout.msc4323.stable': true,
  // Refusing invitations, and choosing between inviters: v1.18 and a proposal.
  'org.matrix.msc4380': true,
  'org.matrix.msc4380.stable': true,
  'org.matrix.msc4155': true,
  // Pings of application services, and switching off the pushers of other devices: v1.7 and a proposal.
  'fi.mau.msc2659.stable': true,
  'org.matrix.msc3881': true,
}

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientversions */
export const getVersions = route({
  operationId: 'getVersions',
  method: 'GET',
  path: '/_matrix/client/versions',
  auth: 'none',
  async handler(_input, { serverDescription }) {
    const features = { ...FEATURES, ...serverDescription.configuredFeatures }
    const headers = { 'Cache-Control': 'public, max-age=600', Vary: 'Authorization' }
    const json = { versions: VERSIONS, unstable_features: features }
    return Promise.resolve(new HttpResponse(200, { json }, headers))
  },
})
