/* supervisor_fake: stand-ins for control, the proxy and the configuration, so that the supervisor
 * is tested alone, with real processes and sockets. Tests only.
 *
 * The configuration is a list of lines: "http ADDRESS", "log PATH", "stubborn" (the proxy never
 * ends its drain), "agent ADDRESS" (a cluster of one node there, which wants an agent: the real
 * one), "mute" and "dies" (one that waits never takes the view, or dies of it), "bad" (a problem).
 *
 * The fake control takes commands on the admin socket, one a connection, and answers with a line:
 *   load      compiles the file and offers the view; "taken EPOCH" or "refused EPOCH SENTENCE"
 *   state     "EPOCH PID CONNECTIONS", the last being a gauge of the proxy's
 *   stale     as load, with the epoch that is in force
 *   damaged   offers bytes that are no view; answers as load
 *   nonsense  sends a message that breaks the protocol
 *   restart   asks for a new proxy at once
 *   upgrade   asks to become the program of this one's name beside the file
 *   agent     "PID LIFE": of the agent, and what it says of etcd; "-" is unknown
 *   handover  asks for a new proxy that takes over; "change" tells how the latest one goes
 * The fake proxy answers each connection with "PID EPOCH INODE", the inode being that of its
 * listening socket, and writes its epoch to its access log when it takes a view. It counts itself
 * as one connection when it starts, never takes that back, and spoils the header of the cells. */
#ifndef HF_SUPERVISOR_FAKE_H
#define HF_SUPERVISOR_FAKE_H

/* The name of this program. */
const char *fake_program(char out[256]);
int fake_control_main(int argc, char **argv);
int fake_agent_main(int argc, char **argv);
int fake_proxy_main(int argc, char **argv);

#endif
