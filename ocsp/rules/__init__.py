"""What a probe asks of a responder: each rule beside the judgement on it."""
