import type { HomeserverConfig } from '../config/homeserver-config.js'
import { ServerNotices, type ServerNoticesDependencies } from '../services/journeys/server-notices.js'

type Parts = Omit<ServerNoticesDependencies, 'options' | 'creation' | 'membership' | 'sender'>

/** Constructs what speaks in the server's name. */
export function createServerNotices(
  parts: Parts,
  {
    roomCreation,
    roomMembership,
    eventSender,
  }: {
    roomCreation: ServerNoticesDependencies['creation']
    roomMembership: ServerNoticesDependencies['membership']
    eventSender: ServerNoticesDependencies['sender']
  },
  { server, serverNotices }: HomeserverConfig,
): ServerNotices {
  const { sender, room } = serverNotices
  return new ServerNotices({
    ...parts,
    creation: roomCreation,
    membership: roomMembership,
    sender: eventSender,
    options: { serverName: server.serverName, sender, room },
  })
}
