import { BaseCommand } from '../src/cli/base-command.js'

interface RouteRow {
  readonly method: string
  readonly path: string
  readonly operationId: string
  readonly auth: string
  readonly rateLimit: string
}

export default class Routes extends BaseCommand {
  static override summary = 'List the endpoints that the server serves.'
  static override description =
    'One line for each method and path, older and unstable forms included, without starting a server.'

  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --json',
  ]

  static override enableJsonFlag = true

  async run(): Promise<readonly RouteRow[]> {
    await this.parse(Routes)
    const [{ allRoutes }, { buildRouteTable }, { formatTable }] = await Promise.all([
      import('../src/api/resources.js'),
      import('../src/http/route-table.js'),
      import('../src/cli/tables.js'),
    ])
    const rows = buildRouteTable(allRoutes())
      .map(({ method, path, route }): RouteRow => {
        const auth = String(route.auth)
        return { method, path, operationId: route.operationId, auth, rateLimit: route.rateLimit ?? 'none' }
      })
      .sort((a, b) => compare(a.path, b.path) || compare(a.method, b.method))
    const cells = rows.map(({ method, path, operationId, auth }) => [method, path, operationId, auth])
    if (!this.jsonEnabled()) this.log(formatTable(['METHOD', 'PATH', 'OPERATION', 'AUTH'], cells))
    return rows
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}
