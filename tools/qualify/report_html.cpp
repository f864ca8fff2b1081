// The report as one page: text and charts, no script, nothing fetched.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "qualify/report.hpp"
#include "qualify/svg_plot.hpp"

namespace millrace::tools {
namespace {

constexpr double kPercents[] = {50, 90, 99, 99.9, 99.99};

constexpr const char* kStyle =
    "body{font:15px/1.5 system-ui,sans-serif;max-width:920px;margin:32px auto;padding:0 16px;color:#1c1c1c}"
    "h1{font-size:24px;margin-bottom:4px}h2{font-size:18px;margin-top:32px}"
    ".head{border-left:5px solid #009e73;padding:8px 14px;background:#f2f8f5;font-size:17px}"
    ".doubt{border-color:#d55e00;background:#fdf3ec}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums;width:100%}"
    "td,th{padding:3px 10px;border-bottom:1px solid #ddd;text-align:right}"
    "td:first-child,th:first-child{text-align:left}.facts td{text-align:left;vertical-align:top}"
    ".facts td:first-child{white-space:nowrap}"
    "svg{width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:#333}.grid{stroke:#e3e3e3}"
    "code{background:#f3f3f3;padding:1px 4px;word-break:break-all}";

// How far out a percentile is: 0 for the smallest, 1 for p90, 2 for p99, ...
double nines(double percent) { return -std::log10(1 - percent / 100); }
double log_ns(double ns) { return std::log10(std::max(ns, 10.0)); }

// From 10 ns to what holds `highest`, a tick a decade.
Axis latency_axis(const std::string& title, double highest) {
    Axis axis{title, 1, std::max(4.0, std::ceil(log_ns(highest))), {}};
    for (double at = axis.low; at <= axis.high; ++at) axis.ticks.push_back({at, duration_text(std::pow(10, at))});
    return axis;
}

double highest_of(const Qualification& found) {
    auto highest = static_cast<double>(found.control.latency.max());
    for (const RateRun& run : found.rates) highest = std::max(highest, static_cast<double>(run.result.latency.max()));
    return highest;
}

Series percentile_curve(const std::string& name, const Histogram& latency, bool dashed) {
    Series series{name, {}, dashed, false};
    for (double at = 0.05; at <= 4.001; at += 0.05) {
        const double percent = 100 * (1 - std::pow(10, -at));
        series.points.emplace_back(at, log_ns(static_cast<double>(latency.percentile(percent))));
    }
    return series;
}

std::string percentile_chart(const Qualification& found) {
    Axis x{"percentile", 0, 4, {}};
    for (const double percent : kPercents) x.ticks.push_back({nines(percent), fmt::format("{}", percent)});
    std::vector<Series> series;
    for (const RateRun& run : found.rates) {
        const std::string name = fmt::format("{}x, {:.0f}/s", run.multiple, run.result.offered);
        series.push_back(percentile_curve(name, run.result.latency, false));
    }
    series.push_back(percentile_curve("no work", found.control.latency, true));
    return svg_plot(x, latency_axis("from due to done", highest_of(found)), series);
}

Series density(const std::string& name, const Histogram& latency, bool dashed) {
    Series series{name, {}, dashed, true};
    latency.for_each_bucket([&](std::uint64_t up_to, std::uint64_t count) {
        series.points.emplace_back(log_ns(static_cast<double>(up_to)), std::log10(static_cast<double>(count)));
    });
    return series;
}

std::string histogram_chart(const Qualification& found) {
    const Histogram& path = found.headline().result.latency;
    Axis y{"packets", 0, std::ceil(std::log10(static_cast<double>(std::max<std::uint64_t>(path.total(), 10)))), {}};
    for (double at = 0; at <= y.high; ++at) y.ticks.push_back({at, fmt::format("{:.0f}", std::pow(10, at))});
    return svg_plot(latency_axis("from due to done", highest_of(found)), y,
                    {density(fmt::format("{}x", found.headline().multiple), path, false),
                     density("no work", found.control.latency, true)});
}

std::string rate_chart(const Qualification& found) {
    Axis x{"packets a second, offered", 0, found.rates.back().result.offered * 1.02, {}};
    for (const RateRun& run : found.rates) {
        if (run.multiple % 4 == 0 || run.multiple == 1)
            x.ticks.push_back({run.result.offered, fmt::format("{:.0f} ({}x)", run.result.offered, run.multiple)});
    }
    std::vector<Series> series;
    for (const double percent : {50.0, 99.0, 99.9}) {
        Series of_percentile{fmt::format("p{}", percent), {}, false, false};
        for (const RateRun& run : found.rates) {
            of_percentile.points.emplace_back(
                run.result.offered, log_ns(static_cast<double>(run.result.latency.percentile(percent))));
        }
        series.push_back(std::move(of_percentile));
    }
    return svg_plot(x, latency_axis("from due to done", highest_of(found)), series);
}

std::string row(const std::string& name, double rate, const Histogram& latency) {
    std::string html = fmt::format("<tr><td>{}</td><td>{:.0f}</td>", escaped(name), rate);
    for (const double percent : kPercents) {
        html += fmt::format("<td>{}</td>", duration_text(static_cast<double>(latency.percentile(percent))));
    }
    return html + fmt::format("<td>{}</td><td>{}</td></tr>\n", duration_text(static_cast<double>(latency.max())),
                              latency.total());
}

std::string table(const Qualification& found) {
    std::string html = "<table><tr><th></th><th>packets/s</th>";
    for (const double percent : kPercents) html += fmt::format("<th>p{}</th>", percent);
    html += "<th>max</th><th>samples</th></tr>\n";
    html += row("no work", found.control.offered, found.control.latency);
    for (const RateRun& run : found.rates) {
        html += row(fmt::format("{}x", run.multiple), run.result.offered, run.result.latency);
    }
    for (const SocketRun& run : found.sockets) {
        html += row(fmt::format("socket, {} of {} lost", run.lost, run.sent), run.packets_per_second, run.latency);
    }
    html += "</table>\n";
    if (found.sockets.empty()) html += fmt::format("<p>Socket runs are left out: {}.</p>\n", escaped(found.no_sockets));
    return html;
}

std::string facts(const Qualification& found) {
    std::string html = "<table class='facts'>\n";
    const auto fact = [&](const char* name, const std::string& text) {
        html += fmt::format("<tr><td>{}</td><td>{}</td></tr>\n", name, escaped(text));
    };
    fact("input", found.input);
    fact("CRC-32 of all packets", fmt::format("{:08x}", found.input_checksum));
    fact("digest of all books", found.digest.text());
    fact("ledger's balance", fmt::format("{}", found.balance));
    fact("CPU", found.host.cpu);
    fact("core", fmt::format("{}, of {} this process may use", found.host.core, found.host.cores));
    fact("kernel", "Linux " + found.host.kernel);
    fact("compiler", found.host.compiler);
    fact("flags", found.host.flags);
    fact("pages", found.host.pages);
    fact("receive backend", found.host.backend);
    fact("reading the clock", duration_text(found.clock_ns));
    fact("jitter floor", fmt::format("of {} looks at the clock by a thread that does nothing else, the longest gap is {}, p99.99 {}",
                                     found.gaps.total(), duration_text(static_cast<double>(found.gaps.max())),
                                     duration_text(static_cast<double>(found.gaps.percentile(99.99)))));
    fact("flat out", fmt::format("{:.0f} packets/s, {:.0f} messages/s", found.flat_out, found.flat_out_messages));
    html += fmt::format("<tr><td>command</td><td><code>{}</code></td></tr>\n</table>\n", escaped(found.host.command));
    return html;
}

std::string headline(const Qualification& found) {
    const std::vector<std::string> doubts = found.doubts();
    if (doubts.empty()) {
        const OpenLoopResult& run = found.headline().result;
        return fmt::format("<p class='head'>p50 {}, p99 {}, p99.9 {} from due to book, at {:.0f} packets a second, a fifth "
                           "of what the path can do; {} packets.</p>\n",
                           duration_text(static_cast<double>(run.latency.percentile(50))),
                           duration_text(static_cast<double>(run.latency.percentile(99))),
                           duration_text(static_cast<double>(run.latency.percentile(99.9))), run.offered, run.packets);
    }
    std::string html = "<div class='head doubt'><strong>Not credible</strong> on this host, now:<ul>";
    for (const std::string& doubt : doubts) html += "<li>" + escaped(doubt) + "</li>";
    return html + "</ul>What follows was measured all the same.</div>\n";
}

}  // namespace

std::string as_html(const Qualification& found) {
    const RateRun* knee = found.knee();
    std::string html = fmt::format(
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'><title>Millrace: latency of this host</title>"
        "<style>{}</style></head><body>\n<h1>Latency of this host</h1>\n{}",
        kStyle, headline(found));
    html += "<p>Packets are due at Poisson times, and each is timed from when it was due, however late the one before "
            "was done. 1x is a twentieth of what the path does flat out.</p>\n";
    html += "<h2>Percentiles</h2>\n" + percentile_chart(found) + table(found);
    html += "<h2>Rate and latency</h2>\n";
    html += knee == nullptr ? "<p>The knee lies below 1x.</p>\n"
                            : fmt::format("<p>The knee: up to {:.0f} packets a second ({}x) it keeps up, with a p99 of at "
                                          "most ten times that at 1x.</p>\n",
                                          knee->result.offered, knee->multiple);
    html += rate_chart(found) + "<h2>Histogram</h2>\n" + histogram_chart(found);
    html += "<h2>What was measured, and on what</h2>\n" + facts(found);
    return html + "</body></html>\n";
}

}  // namespace millrace::tools
