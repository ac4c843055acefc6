//! A program in Zig, built for 32-bit and for 64-bit memories. Its status is 5.
const std = @import("std");

pub fn main(init: std.process.Init) !void {
    const io = init.io;
    const arena = init.arena.allocator();
    var buffer: [1024]u8 = undefined;
    var writer = std.Io.File.stdout().writer(io, &buffer);
    const out = &writer.interface;

    try out.print("usize has {d} bits\n", .{@bitSizeOf(usize)});
    const arguments = try init.minimal.args.toSlice(arena);
    for (arguments[1..]) |argument| try out.print("[{s}]", .{argument});
    try out.print("\nGREETING: {s}\n", .{init.environ_map.get("GREETING") orelse "none"});

    const cwd = std.Io.Dir.cwd();
    try cwd.writeFile(io, .{ .sub_path = "zig.txt", .data = "written by Zig" });
    const text = try cwd.readFile(io, "zig.txt", try arena.alloc(u8, 64));
    try out.print("{s}, {d} bytes\n", .{ text, text.len });
    try cwd.deleteFile(io, "zig.txt");
    if (cwd.readFile(io, "zig.txt", &buffer)) |_| {
        try out.print("it is still there\n", .{});
    } else |err| {
        try out.print("{s}\n", .{@errorName(err)});
    }

    const before = std.Io.Timestamp.now(io, .awake);
    try io.sleep(.fromMilliseconds(20), .awake);
    const slept = before.untilNow(io, .awake);
    try out.print("slept: {}\n", .{slept.toMilliseconds() >= 20});

    var map: std.StringHashMapUnmanaged(usize) = .empty;
    for ([_][]const u8{ "one", "three", "three", "one", "three" }) |word| {
        const entry = try map.getOrPutValue(arena, word, 0);
        entry.value_ptr.* += 1;
    }
    try out.print("one {d}, three {d}\n", .{ map.get("one").?, map.get("three").? });
    try out.flush();
    std.process.exit(5);
}
