"""What makes a server of Python's socketserver tell of its connections: a line for each that begins, and that ends."""


class Counted:
    daemon_threads = True
    request_queue_size = 128

    def process_request(self, request, client_address):
        print("+", flush=True)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        super().shutdown_request(request)
        print("-", flush=True)

    def serve(self):
        """Prints its port first."""
        print(self.server_address[1], flush=True)
        self.serve_forever()
