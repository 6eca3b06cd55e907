import { isIP } from 'node:net'
import { IpPolicy } from '../../net/ip-policy.js'
import type { DoctorCheck, DoctorContext } from './doctor-check.js'
import { failure, info, ok, type Finding } from './finding.js'
import { publicAddress } from './public-address.js'

/** Whether the names of the server lead anywhere. Where other servers go: `federation`. */
export const checkDns: DoctorCheck = {
  name: 'dns',
  summary: 'the addresses of the names that clients and servers use',
  usesNetwork: true,
  async run(context) {
    const { serverName, servesClientWellKnown } = context.config.server
    const names = new Map([[publicAddress(context.config).host, 'public_baseurl']])
    const domain = serverName.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')
    if (servesClientWellKnown && !names.has(domain)) names.set(domain, 'server_name')
    const found = await Promise.all([...names].map(([name, key]) => lookUp(context, name, key)))
    return found.flat()
  },
}

async function lookUp({ network, config }: DoctorContext, name: string, key: string): Promise<Finding[]> {
  if (isIP(name) !== 0) return [ok(`${name} is an address`)]
  let addresses: string[]
  try {
    addresses = (await network.dialing.dns.lookup(name)).map(({ address }) => address)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? (error as Error).message
    return [
      failure(`${name} (${key}) has no address: ${code}`, {
        consequence:
          key === 'public_baseurl' ? 'no client finds the server' : 'clients do not find it by its name',
        cure: `add an A or AAAA record for ${name}`,
      }),
    ]
  }
  const findings = [ok(`${name} has ${addresses.join(', ')}`, { name, addresses })]
  // The denied ranges are those that are private: an address there is reached from within alone.
  const isPrivate = new IpPolicy({ ...config.network, allowedRanges: [] })
  const shown = addresses.filter((address) => !isPrivate.allows(address))
  if (shown.length > 0 && name !== 'localhost') {
    findings.push(
      info(`seen from here, ${name} is at the private address ${shown.join(', ')}`, {
        consequence: 'what is found below holds within this network, and may not hold outside',
        cure: `dig +short ${name} @1.1.1.1 shows what others see`,
      }),
    )
  }
  return findings
}
