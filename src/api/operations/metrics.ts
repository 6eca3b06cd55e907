import { HttpResponse } from '../../http/responses.js'
import { route } from '../../http/route.js'

/** What the server counts, as Prometheus reads it. Also at the path that Prometheus asks by default. */
export const getMetrics = route({
  operationId: 'getMetrics',
  method: 'GET',
  path: '/_synapse/metrics',
  aliases: ['/metrics'],
  auth: 'none',
  async handler(_input, { metrics }) {
    const headers = { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' }
    return new HttpResponse(200, { text: await metrics.render() }, headers)
  },
})
